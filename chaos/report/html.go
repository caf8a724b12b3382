package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"
	"time"
)

//go:embed page.html
var page string

//go:embed page.css
var style string

//go:embed page.js
var script string

// WriteHTML writes the report as one page that loads nothing.
func (r *Report) WriteHTML(w io.Writer) error {
	t, err := template.New("report").Funcs(template.FuncMap{
		"ms":   func(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d)/1e6) },
		"s":    func(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) },
		"time": func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
		"outcomes": func(row Row) []Figure {
			var f []Figure
			for _, name := range slices.Sorted(maps.Keys(row.Outcomes)) {
				f = append(f, Figure{Name: name, Value: fmt.Sprint(row.Outcomes[name])})
			}
			return f
		},
		"class": class,
	}).Parse(page)
	if err != nil {
		return err
	}
	type point struct {
		From              float64
		Offered, Good     float64
		P50, P99, Max     float64
		Outcomes, Sources map[string]int
		Faults            []string
	}
	var points []point
	for _, b := range r.Buckets {
		points = append(points, point{
			From: b.From.Seconds(), Offered: perSecond(b.Offered, r.Width), Good: perSecond(b.Good, r.Width),
			P50: ms(b.Latency.P50), P99: ms(b.Latency.P99), Max: ms(b.Latency.Max),
			Outcomes: b.Outcomes, Sources: b.Sources, Faults: r.during(b.From, b.From+r.Width),
		})
	}
	return t.Execute(w, map[string]any{
		"R": r, "Style": template.CSS(style), "Script": template.JS(script),
		"Rate": r.rate(), "Latency": r.latency(), "OutcomePlot": r.outcomes(), "SourcePlot": r.sources(), "LanePlot": r.lanes(), "PermitPlot": r.permits(),
		"Points": points, "Last": len(points) - 1,
		"Axis": map[string]float64{"left": plotLeft / plotWidth, "right": (plotWidth - plotRight) / plotWidth, "length": r.Length.Seconds(), "width": r.Width.Seconds()},
	})
}

// during names what was not as usual in an interval: the faults, and the states of breakers that
// were not closed.
func (r *Report) during(from, to time.Duration) []string {
	var names []string
	for _, f := range r.Faults {
		if f.From < to && f.To > from {
			names = append(names, f.Target+" "+f.What)
		}
	}
	for _, lane := range r.Lanes {
		for _, s := range lane.Spans {
			if s.State != "closed" && s.State != "running" && s.From < to && s.To > from {
				names = append(names, lane.Name+" is "+s.State)
			}
		}
	}
	return names
}

func ms(d time.Duration) float64 { return float64(d) / 1e6 }
