package simulate

import (
	"cmp"
	"fmt"
	"html/template"
	"math"
	"strings"
	"time"

	"github.com/backstay-go/backstay/internal/svgplot"
	"github.com/backstay-go/backstay/resilience"
)

// The geometry of every plot, in the units of its view box. All share the x axis.
const (
	plotLeft  = 74.0
	plotRight = 14.0
	plotTop   = 8.0
)

// canvas is a plot whose x axis is at the bottom.
type canvas struct {
	*svgplot.Canvas
	bottom float64
}

func newCanvas(bottom float64, length time.Duration, label string) *canvas {
	c := &canvas{svgplot.New(bottom+20, plotLeft, plotRight, length, label), bottom}
	c.seconds()
	return c
}

// seconds draws the x axis.
func (c *canvas) seconds() {
	step := stepFor(c.Length())
	for at := time.Duration(0); at <= c.Length(); at += step {
		c.Down(at, plotTop, c.bottom, 15, "", at.String())
	}
}

// stepFor returns a round step that divides the length into at most 12 parts.
func stepFor(length time.Duration) time.Duration {
	for _, unit := range []time.Duration{time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond} {
		for _, n := range []time.Duration{1, 2, 5} {
			if length <= 12*n*unit {
				return n * unit
			}
		}
	}
	for _, step := range []time.Duration{1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200} {
		if length <= 12*step*time.Second {
			return step * time.Second
		}
	}
	return length / 10
}

// load plots the attempts per second, recorded and replayed, and the calls per second that
// they were made for.
func (r *Report) load(d Dependency) template.HTML {
	c := newCanvas(158, r.Length, "attempts per second on the dependency")
	rate := func(n int) float64 { return float64(n) / r.Width.Seconds() }
	top := 1.0
	for i := range d.Recorded.Buckets {
		top = max(top, rate(d.Recorded.Buckets[i].Calls), rate(d.Replayed.Buckets[i].Calls), rate(d.Recorded.Buckets[i].Attempts), rate(d.Replayed.Buckets[i].Attempts))
	}
	top = roundUp(top)
	y := func(v float64) float64 { return c.bottom - (c.bottom-plotTop)*v/top }
	for i := range 5 {
		v := top * float64(i) / 4
		c.Across(y(v), "", fmt.Sprintf("%.4g/s", v))
	}
	for _, l := range []struct {
		class string
		side  Side
		of    func(Bucket) int
	}{
		{"calls", d.Replayed, func(b Bucket) int { return b.Calls }},
		{"recorded", d.Recorded, func(b Bucket) int { return b.Attempts }},
		{"replayed", d.Replayed, func(b Bucket) int { return b.Attempts }},
	} {
		var points [][2]float64
		for i, b := range l.side.Buckets {
			points = append(points, [2]float64{c.X(r.Width*time.Duration(i) + r.Width/2), y(rate(l.of(b)))})
		}
		c.Line(l.class, points)
	}
	return c.HTML()
}

// took plots the median and the 99th percentile of the calls' latency on a logarithmic scale.
func (r *Report) took(d Dependency) template.HTML {
	c := newCanvas(158, r.Length, "latency of calls")
	low, high := time.Millisecond, 10*time.Millisecond
	for high < max(d.Recorded.Latency.Max, d.Replayed.Latency.Max) {
		high *= 10
	}
	y := func(t time.Duration) float64 {
		return c.bottom - (c.bottom-plotTop)*math.Log(max(1, float64(t)/float64(low)))/math.Log(float64(high)/float64(low))
	}
	for t := low; t <= high; t *= 10 {
		c.Across(y(t), "", t.String())
	}
	for _, l := range []struct {
		class string
		side  Side
		of    func(Latency) time.Duration
	}{
		{"recorded thin", d.Recorded, func(l Latency) time.Duration { return l.P50 }},
		{"recorded", d.Recorded, func(l Latency) time.Duration { return l.P99 }},
		{"replayed thin", d.Replayed, func(l Latency) time.Duration { return l.P50 }},
		{"replayed", d.Replayed, func(l Latency) time.Duration { return l.P99 }},
	} {
		var points [][2]float64
		for i, b := range l.side.Buckets {
			if b.Calls > 0 {
				points = append(points, [2]float64{c.X(r.Width*time.Duration(i) + r.Width/2), y(l.of(b.Latency))})
			}
		}
		c.Line(l.class, points)
	}
	return c.HTML()
}

// stack draws one bar per bucket. The parts of a bar are in proportion to the outcomes of its
// calls.
func (r *Report) stack(label string, s Side, seen []Outcome) template.HTML {
	c := newCanvas(98, r.Length, label)
	for i, b := range s.Buckets {
		at := c.bottom
		from := r.Width * time.Duration(i)
		left, right := c.X(from), c.X(min(from+r.Width, r.Length))
		for _, o := range seen {
			n := b.Outcomes[o]
			if n == 0 {
				continue
			}
			h := (c.bottom - plotTop) * float64(n) / float64(b.Calls)
			at -= h
			c.Rect(left+0.5, at, right-left-1, h, "tone-"+tone(o), fmt.Sprintf("%v: %s %d of %d", from, o, n, b.Calls))
		}
	}
	c.Text(plotLeft-8, plotTop+9, "", "end", "100 %")
	c.Text(plotLeft-8, c.bottom, "", "end", "0 %")
	return c.HTML()
}

// breaker draws the states of the replayed breaker.
func (r *Report) breaker(d Dependency) template.HTML {
	c := newCanvas(34, r.Length, "states of the replayed breaker")
	for _, s := range d.Breaker {
		state := map[resilience.BreakerState]string{resilience.BreakerClosed: "closed", resilience.BreakerHalfOpen: "half-open", resilience.BreakerOpen: "open"}[s.State]
		c.Rect(c.X(s.From), plotTop+4, max(1, c.X(s.To)-c.X(s.From)), c.bottom-plotTop-8, "state-"+state,
			fmt.Sprintf("%s from %v to %v", state, s.From.Round(time.Millisecond), s.To.Round(time.Millisecond)))
	}
	c.Text(plotLeft-8, 25, "", "end", "breaker")
	return c.HTML()
}

// tone returns the CSS class that gives an outcome its colour.
func tone(o Outcome) string { return strings.ReplaceAll(string(cmp.Or(o, Failed)), " ", "-") }

// roundUp returns the next larger value whose quarters are round numbers.
func roundUp(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 4, 6, 8} {
		if m*power >= v {
			return m * power
		}
	}
	return 10 * power
}
