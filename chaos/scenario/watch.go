package scenario

import (
	"context"
	"slices"
	"time"

	"github.com/backstay-go/backstay/chaos/report"
)

// watch records the state of the dependencies. One goroutine uses it; others may read it
// only after that goroutine has ended.
type watch struct {
	system DependencyReporter // nil: nothing is known
	at     []time.Duration
	names  []string
	seen   map[string][]Dependency
}

func newWatch(s System) *watch {
	w := &watch{seen: map[string][]Dependency{}}
	w.system, _ = s.(DependencyReporter)
	return w
}

// run records the states until the context ends, and once more after that.
func (w *watch) run(ctx context.Context, start time.Time) {
	if w.system == nil {
		return
	}
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		w.look(time.Since(start))
		select {
		case <-ctx.Done():
			w.look(time.Since(start))
			return
		case <-t.C:
		}
	}
}

func (w *watch) look(at time.Duration) {
	w.at = append(w.at, at)
	for _, d := range w.system.Dependencies() {
		if w.seen[d.Name] == nil {
			w.names = append(w.names, d.Name)
		}
		// A new dependency has empty entries for the times before it appeared.
		for len(w.seen[d.Name]) < len(w.at)-1 {
			w.seen[d.Name] = append(w.seen[d.Name], Dependency{Name: d.Name})
		}
		w.seen[d.Name] = append(w.seen[d.Name], d)
	}
}

// index returns the index of the first record at or after a time.
func (w *watch) index(at time.Duration) int {
	i, _ := slices.BinarySearch(w.at, at)
	return i
}

// counts returns the calls and attempts within a span.
func (w *watch) counts(name string, in span) (calls, attempts uint64) {
	seen := w.seen[name]
	if len(seen) == 0 {
		return 0, 0
	}
	a, b := seen[min(w.index(in.from), len(seen)-1)], seen[min(w.index(in.to), len(seen)-1)]
	return b.Calls - a.Calls, b.Attempts - a.Attempts
}

// share returns the share of the records within a span that have the state.
func (w *watch) share(name, state string, in span) float64 {
	seen := w.seen[name]
	from, to := min(w.index(in.from), len(seen)), min(w.index(in.to), len(seen))
	n := 0
	for _, d := range seen[from:to] {
		if d.State == state {
			n++
		}
	}
	return float64(n) / float64(max(1, to-from))
}

// changed returns when, within the span, the dependency was first seen in another state than
// its very first one. It returns -1 if that did not happen.
func (w *watch) changed(name string, in span) time.Duration {
	seen := w.seen[name]
	from := min(w.index(in.from), len(seen))
	for i := from; i < len(seen) && w.at[i] < in.to; i++ {
		if seen[i].State != seen[0].State {
			return w.at[i]
		}
	}
	return -1
}

// lanes returns the states over time.
func (w *watch) lanes(length time.Duration) []report.Lane {
	var lanes []report.Lane
	for _, name := range w.names {
		lane := report.Lane{Name: name}
		for i, d := range w.seen[name] {
			if d.State == "" || w.at[i] > length {
				continue
			}
			last := len(lane.Spans) - 1
			if last >= 0 && lane.Spans[last].State == d.State {
				lane.Spans[last].To = w.at[i]
				continue
			}
			if last >= 0 {
				lane.Spans[last].To = w.at[i]
			}
			lane.Spans = append(lane.Spans, report.Span{State: d.State, From: w.at[i], To: w.at[i]})
		}
		if last := len(lane.Spans) - 1; last >= 0 {
			lane.Spans[last].To = length
			lanes = append(lanes, lane)
		}
	}
	return lanes
}

// permits returns the highest number of permits in use in each bucket.
func (w *watch) permits(width, length time.Duration) []report.Series {
	var all []report.Series
	for _, name := range w.names {
		s := report.Series{Name: name, Points: make([]float64, int((length+width-1)/width))}
		for i, d := range w.seen[name] {
			s.Limit = max(s.Limit, float64(d.Limit))
			if b := int(w.at[i] / width); b < len(s.Points) {
				s.Points[b] = max(s.Points[b], float64(d.Permits))
			}
		}
		if s.Limit > 0 {
			all = append(all, s)
		}
	}
	return all
}
