package demo

import (
	"fmt"
	"slices"
	"time"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/load"
	"github.com/backstay-go/backstay/chaos/report"
	"github.com/backstay-go/backstay/licensesvc/app"
	"github.com/backstay-go/backstay/licensesvc/license"
	"github.com/backstay-go/backstay/licensesvc/upstream"
)

// run is all that is known of a run when it is over.
type run struct {
	plan     chaos.Plan
	injected map[string]uint64
	load     load.Result
	answers  []seen
	history  history
	witness  *witness
	pending  int
	drained  time.Duration
	nodes    *report.Check
}

// The shares that checks ask for.
const (
	// standing is the share of requests that get what they are owed while a
	// dependency with a stand-in fails; recovered the share at the end.
	standing  = 0.9
	recovered = 0.98
)

func judge(r run) []report.Check {
	checks := []report.Check{
		r.loadCame(), r.faultsHappened(),
		r.nothingLost(), r.promisesSettled(), r.rulesHeld(), r.honest(), r.answered(), r.inTime(), r.stood(), r.cameBack(),
	}
	if r.nodes != nil {
		checks = append(checks, *r.nodes)
	}
	return checks
}

func verdict(ok bool) report.Verdict {
	if ok {
		return report.Passed
	}
	return report.Failed
}

// some are the first few of what broke a promise.
func some(details []string) []string {
	slices.Sort(details)
	return details[:min(len(details), 10)]
}

func (r run) loadCame() report.Check {
	asked := map[string]bool{}
	for _, a := range r.answers {
		asked[a.member] = true
	}
	c := report.Check{Name: "the load came", Precondition: true,
		Promised: "at least 2,000 requests of at least 200 members, each at its time",
		Seen:     fmt.Sprintf("%d requests of %d members; %d started late, the latest by %s", len(r.answers), len(asked), r.load.Late, r.load.MaxLag.Round(time.Millisecond))}
	void := r.load.Void()
	if void != "" {
		c.Seen += "; " + void
	}
	c.Verdict = verdict(void == "" && len(r.answers) >= 2000 && len(asked) >= 200)
	return c
}

func (r run) faultsHappened() report.Check {
	c := report.Check{Name: "the faults happened", Precondition: true, Promised: "each rule of the plan harmed something"}
	total := uint64(0)
	for i := range r.plan.Rules {
		name := r.plan.RuleName(i)
		if r.injected[name] == 0 {
			c.Details = append(c.Details, name+": nothing was harmed")
		}
		total += r.injected[name]
	}
	c.Seen = fmt.Sprintf("%d rules, %d times", len(r.plan.Rules), total)
	c.Verdict = verdict(len(c.Details) == 0)
	return c
}

func (r run) nothingLost() report.Check {
	checked, broken := kept(r.answers, r.history)
	return report.Check{Name: "nothing acknowledged is missing or doubled",
		Promised: "each license, renewal, download, play and release that was acknowledged is in the store, and not twice",
		Seen:     fmt.Sprintf("%d acknowledged, %d missing or doubled", checked, len(broken)), Verdict: verdict(checked > 0 && len(broken) == 0), Details: some(broken)}
}

func (r run) promisesSettled() report.Check {
	made, open := promises(r.answers, r.history)
	return report.Check{Name: "promises are kept",
		Promised: "each license promised while the store was gone is in the store, confirmed or ended",
		Seen:     fmt.Sprintf("%d promised, %d open; the journal was empty %s after the load, %d left", made, len(open), r.drained.Round(time.Millisecond), r.pending),
		Verdict:  verdict(len(open) == 0 && r.pending == 0), Details: some(open)}
}

func (r run) rulesHeld() report.Check {
	events := 0
	var broken []string
	for member, h := range r.history {
		events += len(h)
		for _, v := range license.Audit(h) {
			broken = append(broken, fmt.Sprintf("%s, %s: %s: %s", member, v.License, v.Code, v.Detail))
		}
	}
	return report.Check{Name: "no rule was broken",
		Promised: "a recount of every member's history finds no license over a limit",
		Seen:     fmt.Sprintf("%d events of %d members, %d violations", events, len(r.history), len(broken)), Verdict: verdict(events > 0 && len(broken) == 0), Details: some(broken)}
}

// needs is what the answer to a request that was carried out must name.
var needs = map[string][]string{
	askRequest: {upstream.Membership, upstream.Catalog, upstream.KeyService},
	askRenew:   {upstream.Membership, upstream.Catalog},
}

// honest holds each answer against what went over the wire for it.
func (r run) honest() report.Check {
	claims, degraded := 0, 0
	var broken []string
	for _, a := range r.answers {
		named := map[string]bool{}
		other := false
		for _, b := range a.decidedOn {
			named[b.Dependency] = true
			if b.Source != "live" && b.Source != "hedge" {
				other = true
				continue
			}
			claims++
			if !r.witness.saw(a.id, b.Dependency) {
				broken = append(broken, fmt.Sprintf("%s of %s: %s called live, and no answer of it was seen for %s", a.kind, a.member, b.Dependency, a.id))
			}
		}
		if other {
			degraded++
		}
		if a.outcome != gotDone && a.outcome != gotPromised {
			continue
		}
		for _, d := range needs[a.kind] {
			if !named[d] {
				broken = append(broken, fmt.Sprintf("%s of %s: decided without naming %s (%s)", a.kind, a.member, d, a.id))
			}
		}
		if a.outcome == gotDone && !named[app.EventStore] {
			broken = append(broken, fmt.Sprintf("%s of %s: done without naming the event store (%s)", a.kind, a.member, a.id))
		}
	}
	return report.Check{Name: "answers say what they rest on",
		Promised: "each answer names its data, and calls live only what the wire brought for that very request",
		Seen:     fmt.Sprintf("%d claims of live data, %d answers not on live data alone, %d untrue", claims, degraded, len(broken)), Verdict: verdict(claims > 0 && degraded > 0 && len(broken) == 0), Details: some(broken)}
}

// answered looks for what is no answer at all.
func (r run) answered() report.Check {
	var broken []string
	for _, a := range r.answers {
		if a.outcome == gotError {
			broken = append(broken, fmt.Sprintf("%s of %s: status %d, %s (%s)", a.kind, a.member, a.status, a.detail, a.id))
		}
	}
	return report.Check{Name: "every request was answered",
		Promised: "also a refusal is an answer that says why and what to do; no request ends in an internal error or without an answer",
		Seen:     fmt.Sprintf("%d answers, %d errors", len(r.answers)-len(broken), len(broken)), Verdict: verdict(len(broken) == 0), Details: some(broken)}
}

func (r run) inTime() report.Check {
	var worst time.Duration
	var late []string
	for _, a := range r.answers {
		worst = max(worst, a.took)
		if a.took > Deadline+Margin {
			late = append(late, fmt.Sprintf("%s of %s took %s (%s)", a.kind, a.member, a.took.Round(time.Millisecond), a.id))
		}
	}
	return report.Check{Name: "no request outlived its deadline",
		Promised: fmt.Sprintf("every answer within the deadline of %s and a margin of %s", Deadline, Margin),
		Seen:     fmt.Sprintf("the slowest took %s, %d were late", worst.Round(time.Millisecond), len(late)), Verdict: verdict(len(late) == 0), Details: some(late)}
}

// share is the part of the requests meant to start in [from, to) that got what they
// are owed.
func (r run) share(from, to time.Duration) (share float64, offered int) {
	good := 0
	for _, s := range r.load.Samples {
		if s.Intended >= from && s.Intended < to {
			offered++
			if s.Good {
				good++
			}
		}
	}
	if offered == 0 {
		return 0, 0
	}
	return float64(good) / float64(offered), offered
}

// stood looks at the faults of dependencies that something stands in for, while
// nothing else fails.
func (r run) stood() report.Check {
	c := report.Check{Name: "it stood while one dependency failed",
		Promised: fmt.Sprintf("at least %.0f %% of requests got what they are owed while something stood in", 100*standing)}
	for i, rule := range r.plan.Rules {
		from, to := r.plan.Window(i)
		if rule.Where.Dependency == upstream.KeyService || r.overlaps(i) {
			continue
		}
		share, offered := r.share(from, to)
		c.Seen += fmt.Sprintf("%s: %.1f %% of %d; ", r.plan.RuleName(i), 100*share, offered)
		if share < standing {
			c.Details = append(c.Details, r.plan.RuleName(i)+" is below it")
		}
	}
	if c.Seen == "" {
		c.Seen, c.Verdict = "no fault came alone", report.Undecided
		return c
	}
	c.Seen, c.Verdict = c.Seen[:len(c.Seen)-2], verdict(len(c.Details) == 0)
	return c
}

func (r run) overlaps(i int) bool {
	from, to := r.plan.Window(i)
	for j := range r.plan.Rules {
		f, t := r.plan.Window(j)
		if j != i && f < to && from < t {
			return true
		}
	}
	return false
}

// cameBack looks at the time after the last fault.
func (r run) cameBack() report.Check {
	c := report.Check{Name: "goodput came back",
		Promised: fmt.Sprintf("within 8 s after the last fault, and to the end, at least %.0f %% of requests got what they are owed", 100*recovered)}
	end := r.plan.End()
	length := time.Duration(0)
	for _, s := range r.load.Samples {
		length = max(length, s.Intended)
	}
	back := time.Duration(-1)
	for at := end; at < length; at += 250 * time.Millisecond {
		if share, offered := r.share(at, length+1); offered > 0 && share >= recovered {
			back = at - end
			break
		}
	}
	share, offered := r.share(end+8*time.Second, length+1)
	c.Seen = fmt.Sprintf("%.1f %% of %d from 8 s after the last fault; back %s after it", 100*share, offered, back)
	if back < 0 {
		c.Seen = fmt.Sprintf("%.1f %% of %d from 8 s after the last fault; it did not come back", 100*share, offered)
	}
	c.Verdict = verdict(offered >= 100 && share >= recovered && back >= 0 && back <= 8*time.Second)
	return c
}
