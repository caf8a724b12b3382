package simulate

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"time"
)

//go:embed page.html
var page string

//go:embed page.css
var style string

// WriteHTML writes the report as one page that loads nothing.
func (r *Report) WriteHTML(w io.Writer) error {
	t, err := template.New("report").Funcs(template.FuncMap{
		"count": count, "several": several, "short": short,
		"percent": func(n, of int) string { return fmt.Sprintf("%.1f %%", 100*float64(n)/float64(max(of, 1))) },
		"time":    func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
		"tone":    tone,
	}).Parse(page)
	if err != nil {
		return err
	}
	type view struct {
		Dependency
		Rows                               []row
		Seen                               []Outcome
		Load, Before, After, Took, Breaker template.HTML
	}
	var views []view
	for _, d := range r.Dependencies {
		v := view{Dependency: d, Rows: d.rows()}
		for _, o := range outcomes {
			if d.Recorded.Outcomes[o]+d.Replayed.Outcomes[o] > 0 {
				v.Seen = append(v.Seen, o)
			}
		}
		v.Load, v.Took, v.Breaker = r.load(d), r.took(d), r.breaker(d)
		v.Before = r.stack("what became of calls, recorded", d.Recorded, v.Seen)
		v.After = r.stack("what became of calls, replayed", d.Replayed, v.Seen)
		views = append(views, v)
	}
	return t.Execute(w, map[string]any{"R": r, "Style": template.CSS(style), "Views": views, "Notes": r.notes(), "How": r.how()})
}
