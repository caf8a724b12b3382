package scenario

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/report"
)

// Timeline returns a plan of faults as a report shows it.
func Timeline(p chaos.Plan) []report.Fault {
	var all []report.Fault
	for i, r := range p.Rules {
		from, to := p.Window(i)
		target := r.Where.Dependency
		if r.Where.Node != "" {
			target = r.Where.Node
		}
		info, _ := r.What.Kind.Info()
		what := info.Does
		if r.What.Delay > 0 {
			what += " (" + r.What.Delay.String() + ")"
		}
		if r.What.Status > 0 {
			what += fmt.Sprintf(" (%d)", r.What.Status)
		}
		if q := r.Often.Probability; q != nil {
			what += fmt.Sprintf(", %g %%", 100**q)
		}
		f := report.Fault{Name: p.RuleName(i), Dependency: r.Where.Dependency, Target: target, What: what, From: from, To: to}
		if r.When.RepeatEvery == 0 {
			all = append(all, f)
			continue
		}
		for at := from; at < to; at += r.When.RepeatEvery {
			f.From, f.To = at, min(to, at+r.When.RepeatFor)
			all = append(all, f)
		}
	}
	return all
}

// byHand returns the faults that updates of a running plan added, each until it was removed or
// over. Those that began after the end are left out.
func byHand(changes []chaos.Change, end time.Duration) []report.Fault {
	var all []report.Fault
	for i, c := range changes {
		if c.Removed || c.At >= end {
			continue
		}
		for _, f := range Timeline(chaos.Plan{Rules: []chaos.Rule{c.Rule}}) {
			f.ByHand, f.From, f.To = true, max(f.From, c.At), min(f.To, end)
			for _, later := range changes[i+1:] {
				if later.Removed && reflect.DeepEqual(later.Rule, c.Rule) {
					f.To = min(f.To, later.At)
					break
				}
			}
			if f.From < f.To {
				all = append(all, f)
			}
		}
	}
	return all
}

// faults returns the faults of the run, with what users saw of each.
func (r *result) faults() []report.Fault {
	all := slices.Concat(Timeline(r.scenario.Plan()), r.byHand)
	slices.SortStableFunc(all, func(a, b report.Fault) int { return int(a.From - b.From) })
	for i := range all {
		next := r.scenario.Length()
		for _, other := range all {
			if other.From >= all[i].To {
				next = min(next, other.From)
			}
		}
		all[i].Effect, all[i].Expected = r.effect(all[i], next), r.scenario.Expected[all[i].Name]
	}
	return all
}

// effect returns what users saw of a fault. The next fault, or the end of the run, comes at
// next.
func (r *result) effect(f report.Fault, next time.Duration) *report.Effect {
	e := &report.Effect{Outcomes: map[string]int{}, StoodIn: map[string]int{}}
	for _, s := range samplesIn(r.load.Samples, span{f.From, f.To}, "") {
		e.Requests++
		e.Outcomes[s.Outcome]++
		e.Slowest = max(e.Slowest, s.Done-s.Intended)
		if s.Good {
			e.Served++
		}
		switch source := s.Sources[f.Dependency]; source {
		case "":
		case "live", "hedge":
			e.Live++
		default:
			e.StoodIn[source]++
		}
	}
	e.Back = r.backAfter(f.To, next)
	return e
}

// backAfter returns the time from the end of a fault until the requests of one second were
// served as the scenario's recovery wants it. It returns -1 if that did not happen before next.
func (r *result) backAfter(to, next time.Duration) time.Duration {
	for at := to; at+time.Second <= next; at += tick {
		second := samplesIn(r.load.Samples, span{at, at + time.Second}, "")
		if len(second) > 0 && share(second, "good", nil) >= *r.scenario.Recovery.Good {
			return at - to
		}
	}
	return -1
}

// leftAlone is the precondition that nobody injected faults by hand: the checks were written
// for the scenario's faults alone.
func (r *result) leftAlone() report.Check {
	c := report.Check{Name: "nothing else was broken", Precondition: true, Verdict: report.Undecided,
		Promised: "nobody injected a fault by hand while the scenario was played",
		Seen:     fmt.Sprintf("%d faults by hand", len(r.byHand))}
	for _, f := range r.byHand {
		c.Details = append(c.Details, fmt.Sprintf("%s %s, %s to %s", f.Target, f.What, f.From.Round(tick), f.To.Round(tick)))
	}
	return c
}
