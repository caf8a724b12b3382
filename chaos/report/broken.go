package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Broken is one line of the table "what was broken": a fault, and what users noticed of it.
type Broken struct {
	Number int
	Fault
	// When, Saw, StoodIn and Well are the cells, in words made from figures.
	When, Saw, StoodIn, Well string
}

// Broken returns the faults with what users saw of each, in the order in which they began.
// Faults whose effect is not known are left out.
func (r *Report) Broken() []Broken {
	var all []Broken
	for _, f := range r.Faults {
		if f.Effect == nil {
			continue
		}
		all = append(all, Broken{Number: len(all) + 1, Fault: f, When: fmt.Sprintf("%s–%s s", short(f.From), short(f.To)),
			Saw: r.saw(*f.Effect), StoodIn: stoodIn(*f.Effect), Well: well(*f.Effect)})
	}
	return all
}

// Title names the fault: as the scenario does, or by what it did.
func (b Broken) Title() string {
	switch {
	case b.ByHand:
		return b.Target + " " + b.What + ", by hand"
	case b.Name != "":
		return b.Name
	}
	return b.Target + " " + b.What
}

func short(d time.Duration) string {
	return strings.TrimSuffix(fmt.Sprintf("%.1f", d.Seconds()), ".0")
}

// saw says how many requests were served, and what became of the others.
func (r *Report) saw(e Effect) string {
	if e.Requests == 0 {
		return "no request came"
	}
	text := fmt.Sprintf("%s of %d served", percent(e.Served, e.Requests), e.Requests)
	var rest []string
	for _, v := range r.Outcomes {
		if n := e.Outcomes[v.Name]; n > 0 && (v.Tone == Refuse || v.Tone == Bad) {
			rest = append(rest, fmt.Sprintf("%d %s", n, v.Name))
		}
	}
	if len(rest) > 0 {
		text += "; " + strings.Join(rest, ", ")
	}
	return text + "; slowest " + roughly(e.Slowest)
}

// stoodIn says what answers were decided on instead of live data of the harmed dependency.
func stoodIn(e Effect) string {
	total := e.Live
	for _, n := range e.StoodIn {
		total += n
	}
	if total == 0 {
		return "nothing"
	}
	var parts []string
	for _, source := range slices.Sorted(maps.Keys(e.StoodIn)) {
		parts = append(parts, fmt.Sprintf("%s %s", percent(e.StoodIn[source], total), source))
	}
	if len(parts) == 0 {
		return "not needed"
	}
	return strings.Join(parts, ", ")
}

// well says how long after the fault requests were served as before.
func well(e Effect) string {
	switch {
	case e.Back < 0:
		return "not before the next fault"
	case e.Back == 0:
		return "at once"
	}
	return fmt.Sprintf("after %.1f s", e.Back.Seconds())
}

func percent(n, of int) string {
	return strings.TrimSuffix(fmt.Sprintf("%.1f", 100*float64(n)/float64(of)), ".0") + " %"
}

func roughly(d time.Duration) string {
	if d < 10*time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.0f s", d.Seconds())
}

// Summary says in one line why the verdict is what it is.
func (r *Report) Summary() string {
	passed := 0
	var failed, open []string
	for _, c := range r.Checks {
		switch {
		case c.Verdict == Passed:
			passed++
		case c.Precondition || c.Verdict != Failed:
			open = append(open, c.Name+": "+c.Seen)
		default:
			failed = append(failed, c.Name)
		}
	}
	count := fmt.Sprintf("%d of %d checks passed", passed, len(r.Checks))
	switch {
	case len(r.Checks) == 0:
		return "there is no check"
	case r.Verdict == Undecided && len(open) > 0:
		return count + "; undecided because: " + strings.Join(open, "; ")
	case len(failed) > 0:
		return count + "; failed: " + strings.Join(failed, "; ")
	}
	return count
}

// Sorted returns the checks as a reader needs them: those that failed first, then the
// undecided ones, then the others, each in the order in which they were judged.
func (r *Report) Sorted() []Check {
	weight := func(c Check) int {
		switch {
		case c.Verdict == Failed && !c.Precondition:
			return 0
		case c.Verdict != Passed:
			return 1
		}
		return 2
	}
	return slices.SortedStableFunc(slices.Values(r.Checks), func(a, b Check) int { return weight(a) - weight(b) })
}

// text returns the table of what was broken for a terminal.
func (r *Report) text() string {
	all := r.Broken()
	if len(all) == 0 {
		return ""
	}
	var out strings.Builder
	for _, b := range all {
		fmt.Fprintf(&out, "%s: %s\n    stood in: %s; well again: %s\n", b.Title(), b.Saw, b.StoodIn, b.Well)
		if b.Expected != "" {
			fmt.Fprintf(&out, "    expected: %s\n", b.Expected)
		}
	}
	return out.String()
}
