package scenario

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/backstay-go/backstay/chaos/load"
	"github.com/backstay-go/backstay/chaos/report"
)

func verdict(ok bool) report.Verdict {
	if ok {
		return report.Passed
	}
	return report.Failed
}

// judge compares the run with what was promised. It judges the preconditions first.
func (r *result) judge() []report.Check {
	checks := []report.Check{r.loadCame(), r.steady()}
	if len(r.scenario.Faults)+len(r.scenario.Actions) > 0 {
		checks = append(checks, r.happened())
	}
	if len(r.byHand) > 0 {
		checks = append(checks, r.leftAlone())
	}
	if len(r.scenario.Stop) > 0 || r.stopped != "" {
		checks = append(checks, r.notStopped())
	}
	checks = append(checks, r.none("no answer was wrong", "every answer is true, or says honestly why there is none", load.Wrong),
		r.none("no answer was late", fmt.Sprintf("every answer within the deadline of %s and a margin of %s", r.scenario.Deadline, r.scenario.Margin), load.Late))
	for _, c := range r.scenario.Checks {
		checks = append(checks, r.check(c))
	}
	if _, _, ok := r.scenario.Disturbed(); ok {
		checks = append(checks, r.cameBack())
	}
	if r.interrupted {
		return interruptedChecks(checks)
	}
	return append(checks, r.domain...)
}

// interruptedChecks returns the checks of a run that was interrupted: a promise that was
// broken stays broken, and everything else is undecided.
func interruptedChecks(checks []report.Check) []report.Check {
	for i, c := range checks {
		if broken := c.Verdict == report.Failed && strings.HasPrefix(c.Name, "no answer was"); !broken {
			checks[i].Verdict = report.Undecided
		}
	}
	return checks
}

func (r *result) loadCame() report.Check {
	c := report.Check{Name: "the load came", Precondition: true,
		Promised: fmt.Sprintf("at least %d requests, each at its time", r.scenario.Requests),
		Seen:     fmt.Sprintf("%d requests; %d started late, the latest by %s", len(r.load.Samples), r.load.Late, r.load.MaxLag.Round(time.Millisecond))}
	void := r.load.Void()
	if r.load.Interrupted && r.stopped != "" {
		void = "" // The reason for the stop says it already.
	}
	if void != "" {
		c.Seen += "; " + void
	}
	c.Verdict = verdict(void == "" && (len(r.load.Samples) >= r.scenario.Requests || r.stopped != ""))
	return c
}

// unsteady says which condition of the steady state does not hold. It returns an empty text
// if all hold.
func (r *result) unsteady(before []load.Sample) string {
	if len(before) == 0 {
		return "no request was answered before the first fault"
	}
	good := share(before, "good", nil)
	if good < *r.scenario.Steady.Good {
		return fmt.Sprintf("%.1f %% of %d were served", 100*good, len(before))
	}
	if want := r.scenario.Steady.P99; want > 0 {
		if got := load.Quantiles(before, nil).P99; got > want {
			return fmt.Sprintf("p99 was %s", got.Round(time.Millisecond))
		}
	}
	return ""
}

func (r *result) steady() report.Check {
	from, _, disturbed := r.scenario.Disturbed()
	if !disturbed {
		from = r.scenario.Length()
	}
	before := samplesIn(r.load.Samples, span{0, from}, "")
	c := report.Check{Name: "the steady state held", Precondition: true,
		Promised: fmt.Sprintf("before the first fault at least %.0f %% are served", 100**r.scenario.Steady.Good),
		Seen:     fmt.Sprintf("%.1f %% of %d, p99 %s", 100*share(before, "good", nil), len(before), load.Quantiles(before, nil).P99.Round(time.Millisecond))}
	if p99 := r.scenario.Steady.P99; p99 > 0 {
		c.Promised += fmt.Sprintf(", 99 of 100 within %s", p99)
	}
	why := r.unsteady(before)
	if r.halted != "" {
		why = r.halted + "; nothing was harmed, and the run ended there"
	}
	if why != "" {
		c.Seen += "; " + why
	}
	c.Verdict = verdict(why == "")
	return c
}

func (r *result) happened() report.Check {
	c := report.Check{Name: "the faults happened", Precondition: true, Promised: "each fault harmed something, each action was done"}
	plan := r.scenario.Plan()
	total := uint64(0)
	for i := range plan.Rules {
		name := plan.RuleName(i)
		if r.injected[name] == 0 {
			c.Details = append(c.Details, name+": nothing was harmed")
		}
		total += r.injected[name]
	}
	c.Details = append(c.Details, r.problems...)
	c.Seen = fmt.Sprintf("faults: %d, injected %d times; actions: %d", len(plan.Rules), total, len(r.scenario.Actions))
	c.Verdict = verdict(len(c.Details) == 0 || r.stopped != "")
	return c
}

func (r *result) notStopped() report.Check {
	c := report.Check{Name: "no stop condition was met", Verdict: verdict(r.stopped == ""), Seen: "it ran to its end"}
	var words []string
	for _, s := range r.scenario.Stop {
		if s.MoreThan != nil {
			words = append(words, fmt.Sprintf("%s at most %.0f %%", s.Measure, 100**s.MoreThan))
		}
		if s.LessThan != nil {
			words = append(words, fmt.Sprintf("%s at least %.0f %%", s.Measure, 100**s.LessThan))
		}
	}
	c.Promised = strings.Join(words, ", ")
	if r.stopped != "" {
		c.Seen = r.stopped + "; the faults and the load were ended there"
	}
	return c
}

// none checks the promise that no answer has a given meaning.
func (r *result) none(name, promised string, m load.Meaning) report.Check {
	c := report.Check{Name: name, Promised: promised}
	n := 0
	var worst time.Duration
	for _, s := range r.load.Samples {
		worst = max(worst, s.Done-s.Sent)
		if s.Means != m {
			continue
		}
		if n++; n <= 10 {
			c.Details = append(c.Details, fmt.Sprintf("%s %s at %s: %s, %s", s.Kind, s.ID, s.Intended.Round(time.Millisecond), s.Outcome, s.Detail))
		}
	}
	c.Seen = fmt.Sprintf("%d of %d", n, len(r.load.Samples))
	if m == load.Late {
		c.Seen += fmt.Sprintf("; the slowest took %s", worst.Round(time.Millisecond))
	}
	c.Verdict = verdict(n == 0)
	return c
}

// check judges one of the scenario's checks.
func (r *result) check(c Check) report.Check {
	in, err := r.scenario.during(c.During)
	if err != nil { // Check refuses such a scenario.
		return report.Check{Name: c.Name, Seen: err.Error(), Verdict: report.Undecided}
	}
	where := c.During
	if where == "" {
		where = "faults"
	}
	m := r.measure(c.Measure, c.Kind, in)
	what := c.Measure
	if c.Kind != "" {
		what += " of " + c.Kind
	}
	out := report.Check{Name: c.Name, Promised: fmt.Sprintf("%s (%s, %s to %s): %s", what, where, in.from, in.to, c.bound()), Seen: m.text, Bound: c.bound(),
		Value: &m.value, Unit: unit(c.Measure), AtLeast: c.AtLeast, AtMost: c.AtMost, Count: max(0, m.n)}
	if c.Within > 0 {
		within := c.Within.Seconds()
		out.AtMost = &within
	}
	ok := true
	if c.AtLeast != nil {
		ok = ok && m.value >= *c.AtLeast
	}
	if c.AtMost != nil {
		ok = ok && m.value <= *c.AtMost
	}
	if c.Within > 0 {
		ok = ok && m.value <= c.Within.Seconds()
	}
	out.Verdict = verdict(ok)
	if m.n == 0 || r.stopped != "" || r.halted != "" {
		out.Verdict = report.Undecided
	}
	return out
}

// unit returns the unit of a measure.
func unit(measure string) string {
	word, _, timed, _ := parseMeasure(measure) // Check refuses a scenario with a bad measure.
	switch {
	case isShare(word), word == "state":
		return "share"
	case timed:
		return "s"
	case word == "offered":
		return "per_second"
	}
	return "ratio"
}

// bound returns the condition of a check in words.
func (c Check) bound() string {
	word, _, _, _ := parseMeasure(c.Measure) // Check refuses a scenario with a bad measure.
	show := func(v float64) string {
		if isShare(word) || word == "state" {
			return fmt.Sprintf("%g %%", 100*v)
		}
		return fmt.Sprintf("%g", v)
	}
	switch {
	case c.Within > 0:
		return "within " + c.Within.String()
	case c.AtLeast != nil && c.AtMost != nil:
		return show(*c.AtLeast) + " to " + show(*c.AtMost)
	case c.AtLeast != nil:
		return "at least " + show(*c.AtLeast)
	}
	return "at most " + show(*c.AtMost)
}

// recovered returns the time from the last fault until the share of served requests was good
// again and stayed so. It returns -1 if that did not happen.
func (r *result) recovered() time.Duration {
	_, to, _ := r.scenario.Disturbed()
	length := r.scenario.Length()
	for at := to; at < length; at += tick {
		rest := samplesIn(r.load.Samples, span{at, length}, "")
		if len(rest) == 0 {
			break
		}
		// It must last: all the rest of the run must be good, and so must the next second.
		next := samplesIn(rest, span{at, at + time.Second}, "")
		if want := *r.scenario.Recovery.Good; share(rest, "good", nil) >= want && (len(next) == 0 || share(next, "good", nil) >= want) {
			return at - to
		}
	}
	return -1
}

// detected returns the time from the first fault to its first visible effect: an answer that
// was not right, or a circuit breaker that changed its state. It returns -1 if there was none.
func (r *result) detected() time.Duration {
	from, to, _ := r.scenario.Disturbed()
	first := time.Duration(-1)
	for _, s := range r.load.Samples {
		if s.Done >= from && s.Intended < to && s.Means != load.Right && s.Means != "" && (first < 0 || s.Done < first) {
			first = s.Done
		}
	}
	for _, name := range r.watch.names {
		if at := r.watch.changed(name, span{from, to}); at >= 0 && (first < 0 || at < first) {
			first = at
		}
	}
	if first < 0 {
		return -1
	}
	return max(0, first-from)
}

func (r *result) cameBack() report.Check {
	within, good := r.scenario.Recovery.Within, *r.scenario.Recovery.Good
	in, _ := r.scenario.during("after") // The span "after" always exists.
	rest := samplesIn(r.load.Samples, in, "")
	c := report.Check{Name: "it recovered", Promised: fmt.Sprintf("from %s after the last fault at least %.0f %% are served", within, 100*good),
		Seen: fmt.Sprintf("%.1f %% of %d", 100*share(rest, "good", nil), len(rest))}
	back := r.recovered()
	if back >= 0 {
		c.Seen += fmt.Sprintf("; back %s after the last fault", back)
	} else {
		c.Seen += "; it did not come back"
	}
	c.Verdict = verdict(back >= 0 && back <= within)
	if len(rest) == 0 {
		c.Verdict = report.Undecided
	}
	return c
}

// worth returns a few requests whose traces explain the run: the wrong and the late ones, the
// first of each degraded kind after each fault, and the slowest.
func (r *result) worth() []report.Trace {
	var all []report.Trace
	taken := map[string]bool{}
	take := func(s load.Sample, why string) {
		if s.ID == "" || taken[s.ID] || len(all) == 12 {
			return
		}
		taken[s.ID] = true
		all = append(all, report.Trace{Request: s.ID, Trace: s.Trace, Kind: s.Kind, Outcome: s.Outcome, Why: why, At: s.Intended, Took: s.Done - s.Sent})
	}
	for _, m := range []load.Meaning{load.Wrong, load.Late} {
		for _, s := range r.load.Samples {
			if s.Means == m {
				take(s, string(m))
			}
		}
	}
	plan := r.scenario.Plan()
	for i := range plan.Rules {
		from, to := plan.Window(i)
		for _, m := range []load.Meaning{load.Refused, load.Stale, load.Provisional} {
			for _, s := range samplesIn(r.load.Samples, span{from, to}, "") {
				if s.Means == m {
					take(s, fmt.Sprintf("the first that was %s after %q began", m, plan.RuleName(i)))
					break
				}
			}
		}
	}
	slowest := slices.SortedFunc(slices.Values(r.load.Samples), func(a, b load.Sample) int { return int((b.Done - b.Sent) - (a.Done - a.Sent)) })
	for _, s := range slowest[:min(3, len(slowest))] {
		take(s, "among the slowest")
	}
	return all
}
