package report

import (
	"cmp"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/backstay-go/backstay/chaos/load"
	"github.com/backstay-go/backstay/internal/svgplot"
)

// The geometry of every plot, in the units of its view box. All share the x axis.
const (
	plotWidth  = svgplot.Width
	plotLeft   = 108.0
	plotRight  = 20.0
	laneHeight = 22.0
)

// canvas is a plot with a line that follows the pointer.
type canvas struct {
	*svgplot.Canvas
	height float64
}

func newCanvas(height float64, length time.Duration, label string) *canvas {
	return &canvas{svgplot.New(height, plotLeft, plotRight, length, label), height}
}

func (c *canvas) done() template.HTML {
	c.Segment("cross", -9999, 0, -9999, c.height)
	return c.HTML()
}

// shade marks the times with a fault behind the data of a plot, between top and bottom.
func (c *canvas) shade(faults []Fault, top, bottom float64) {
	sorted := slices.SortedFunc(slices.Values(faults), func(a, b Fault) int { return cmp.Compare(a.From, b.From) })
	for i := 0; i < len(sorted); {
		from, to, what := sorted[i].From, sorted[i].To, sorted[i].Target+": "+sorted[i].What
		for i++; i < len(sorted) && sorted[i].From <= to; i++ {
			to = max(to, sorted[i].To)
			what += "; " + sorted[i].Target + ": " + sorted[i].What
		}
		c.Rect(c.X(from), top, c.X(min(to, c.Length()))-c.X(from), bottom-top, "shade", what)
	}
}

// seconds draws the x axis below y.
func (c *canvas) seconds(top, y float64) {
	step := 5 * time.Second
	for c.Length()/step > 14 {
		step *= 2
	}
	for at := time.Duration(0); at <= c.Length(); at += step {
		c.Down(at, top, y, 14, "tick", fmt.Sprintf("%.0f s", at.Seconds()))
	}
}

// rate plots the offered and the good requests per second.
func (r *Report) rate() template.HTML {
	const top, bottom = 8.0, 150.0
	c := newCanvas(bottom+20, r.Length, "requests per second, offered and good")
	c.shade(r.Faults, top, bottom)
	c.seconds(top, bottom)
	peak := 1.0
	for _, b := range r.Buckets {
		peak = max(peak, perSecond(b.Offered, r.Width))
	}
	peak = round(peak * 1.1)
	y := func(v float64) float64 { return bottom - (bottom-top)*v/peak }
	for i := range 3 {
		v := peak * float64(i) / 2
		c.Across(y(v), "tick", fmt.Sprintf("%.0f/s", v))
	}
	var offered, good [][2]float64
	for _, b := range r.Buckets {
		mid := c.X(b.From + r.Width/2)
		offered = append(offered, [2]float64{mid, y(perSecond(b.Offered, r.Width))})
		good = append(good, [2]float64{mid, y(perSecond(b.Good, r.Width))})
	}
	c.Line("offered", offered)
	c.Line("goodput", good)
	return c.done()
}

// latency plots quantiles on a logarithmic scale.
func (r *Report) latency() template.HTML {
	const top, bottom = 8.0, 150.0
	c := newCanvas(bottom+20, r.Length, "latency from the intended start")
	c.shade(r.Faults, top, bottom)
	c.seconds(top, bottom)
	low, high := time.Millisecond, 10*time.Millisecond
	for _, b := range r.Buckets {
		for high < b.Latency.Max {
			high *= 10
		}
	}
	y := func(d time.Duration) float64 {
		share := math.Log(max(1, float64(d)/float64(low))) / math.Log(float64(high)/float64(low))
		return bottom - (bottom-top)*share
	}
	for d := low; d <= high; d *= 10 {
		c.Across(y(d), "tick", d.String())
	}
	for _, q := range []struct {
		class string
		of    func(load.Latencies) time.Duration
	}{
		{"worst", func(l load.Latencies) time.Duration { return l.Max }},
		{"p99", func(l load.Latencies) time.Duration { return l.P99 }},
		{"p50", func(l load.Latencies) time.Duration { return l.P50 }},
	} {
		var points [][2]float64
		for _, b := range r.Buckets {
			if b.Latency.Count > 0 {
				points = append(points, [2]float64{c.X(b.From + r.Width/2), y(q.of(b.Latency))})
			}
		}
		c.Line(q.class, points)
	}
	return c.done()
}

// outcomes stacks the outcomes of the requests.
func (r *Report) outcomes() template.HTML {
	const top, bottom = 8.0, 128.0
	c := newCanvas(bottom+20, r.Length, "outcomes")
	c.shade(r.Faults, top, bottom)
	c.seconds(top, bottom)
	c.stack(r, top, bottom, r.Outcomes, func(b load.Bucket, v string) int { return b.Outcomes[v] })
	c.Text(plotLeft-8, top+10, "tick", "end", "100 %")
	c.Text(plotLeft-8, bottom, "tick", "end", "0 %")
	return c.done()
}

// sources stacks, for each dependency, where its data came from.
func (r *Report) sources() template.HTML {
	const lane = 44.0
	c := newCanvas(lane*float64(len(r.Dependencies))+24, r.Length, "sources of the data that answers were decided on")
	bottom := lane*float64(len(r.Dependencies)) + 4
	c.shade(r.Faults, 0, bottom)
	c.seconds(0, bottom)
	for i, dependency := range r.Dependencies {
		top := lane*float64(i) + 6
		c.Text(plotLeft-8, top+lane/2, "lane", "end", dependency)
		c.stack(r, top, top+lane-8, r.Sources, func(b load.Bucket, v string) int { return b.Sources[dependency+" "+v] })
	}
	return c.done()
}

// permits draws, for each dependency, the permits in use against its limit, or against the
// highest number seen if that is far below the limit.
func (r *Report) permits() template.HTML {
	const lane = 34.0
	bottom := lane*float64(len(r.Permits)) + 4
	c := newCanvas(bottom+20, r.Length, "permits in use")
	c.shade(r.Faults, 0, bottom)
	c.seconds(0, bottom)
	for i, s := range r.Permits {
		top := lane*float64(i) + 6
		peak := 0.0
		for _, v := range s.Points {
			peak = max(peak, v)
		}
		scale := max(1, min(max(s.Limit, 1), 4*peak))
		c.Text(plotLeft-8, top+lane/2, "lane", "end", s.Name)
		for b, v := range s.Points {
			from := time.Duration(b) * r.Width
			left, right := c.X(from), c.X(min(from+r.Width, r.Length))
			h := (lane - 8) * min(1, v/scale)
			c.Rect(left+0.5, top+lane-8-h, right-left-1, h, "permits", fmt.Sprintf("%s, %.1f s: %.0f of %.0f permits in use", s.Name, from.Seconds(), v, s.Limit))
		}
		c.Text(plotWidth-plotRight-4, top+9, "tick", "end", fmt.Sprintf("most %.0f of %.0f", peak, s.Limit))
	}
	return c.done()
}

// stack draws one bar per bucket. The parts of a bar are in proportion to their counts.
func (c *canvas) stack(r *Report, top, bottom float64, values []Value, count func(load.Bucket, string) int) {
	for _, b := range r.Buckets {
		total := 0
		for _, v := range values {
			total += count(b, v.Name)
		}
		if total == 0 {
			continue
		}
		at := bottom
		left, right := c.X(b.From), c.X(min(b.From+r.Width, r.Length))
		for i, v := range values {
			n := count(b, v.Name)
			if n == 0 {
				continue
			}
			h := (bottom - top) * float64(n) / float64(total)
			at -= h
			c.Rect(left+0.5, at, right-left-1, h, fmt.Sprintf("tone-%s nuance-%d", v.Tone, nuance(values, i)),
				fmt.Sprintf("%.1f s: %s %d of %d", b.From.Seconds(), v.Name, n, total))
		}
	}
}

// nuance numbers the values of one tone, so that each gets a different shade.
func nuance(values []Value, i int) int {
	n := 0
	for _, v := range values[:i] {
		if v.Tone == values[i].Tone {
			n++
		}
	}
	return n
}

// lanes draws the faults and the states over time as strips.
func (r *Report) lanes() template.HTML {
	targets, of := []string{}, map[string][]Fault{}
	for _, f := range r.Faults {
		if _, ok := of[f.Target]; !ok {
			targets = append(targets, f.Target)
		}
		of[f.Target] = append(of[f.Target], f)
	}
	bottom := laneHeight*float64(len(targets)+len(r.Lanes)) + 8
	c := newCanvas(bottom+20, r.Length, "faults and breaker states")
	c.seconds(0, bottom)
	top := 4.0
	for _, target := range targets {
		c.Text(plotLeft-8, top+14, "lane", "end", target)
		for _, f := range of[target] {
			left, right := c.X(f.From), c.X(min(f.To, c.Length()))
			c.Rect(left, top+1, right-left, laneHeight-4, "fault", fmt.Sprintf("%s: %s, %.1f s to %.1f s", f.Target, f.What, f.From.Seconds(), f.To.Seconds()))
			if what := f.What; right-left > 7.2*float64(len(what))+8 {
				c.Text(left+6, top+14, "onfault", "start", what)
			}
		}
		top += laneHeight
	}
	for _, lane := range r.Lanes {
		c.Text(plotLeft-8, top+14, "lane", "end", lane.Name)
		for _, s := range lane.Spans {
			left, right := c.X(s.From), c.X(min(s.To, c.Length()))
			title := fmt.Sprintf("%s: %s, %.1f s to %.1f s", lane.Name, s.State, s.From.Seconds(), s.To.Seconds())
			if s.Note != "" {
				title += ": " + s.Note
			}
			c.Rect(left, top+4, right-left, laneHeight-10, "state-"+class(s.State), title)
		}
		top += laneHeight
	}
	return c.done()
}

// class reduces a text to characters that are allowed in a CSS class.
func class(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return '-'
	}, s)
}

func perSecond(n int, width time.Duration) float64 {
	return float64(n) / max(width.Seconds(), 1e-9)
}

// round returns the next larger number that is 1, 2 or 5 times a power of ten.
func round(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(max(v, 1))))
	for _, m := range []float64{1, 2, 2.5, 3, 4, 5, 6, 8} {
		if m*power >= v {
			return m * power
		}
	}
	return 10 * power
}
