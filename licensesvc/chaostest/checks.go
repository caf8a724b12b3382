package chaostest

import (
	"fmt"
	"slices"
	"time"

	"github.com/backstay-go/backstay/chaos/report"
	"github.com/backstay-go/backstay/licensesvc/app"
	"github.com/backstay-go/backstay/licensesvc/license"
	"github.com/backstay-go/backstay/licensesvc/upstream"
)

// run is everything that is known about a run after it has ended.
type run struct {
	answers  []seen
	history  stored
	recorder *recorder
	pending  int
	drained  time.Duration
}

func (r run) judge() []report.Check {
	return []report.Check{r.nothingLost(), r.promisesSettled(), r.rulesHeld(), r.honest(), r.sensible(), r.nobodyForgotten()}
}

func verdict(ok bool) report.Verdict {
	if ok {
		return report.Passed
	}
	return report.Failed
}

// tried returns the verdict of a check that tried something n times. One that could try nothing
// proves nothing.
func tried(n int, broken []string) report.Verdict {
	if n == 0 && len(broken) == 0 {
		return report.Undecided
	}
	return verdict(len(broken) == 0)
}

// some returns the first few details of what broke a promise.
func some(details []string) []string {
	slices.Sort(details)
	return details[:min(len(details), 10)]
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

// needs lists the dependencies that the answer to a completed request must name.
var needs = map[string][]string{
	askRequest: {upstream.Membership, upstream.Catalog, upstream.KeyService},
	askRenew:   {upstream.Membership, upstream.Catalog},
}

// honest compares each answer with the traffic that the request caused.
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
			if !r.recorder.saw(a.id, b.Dependency) {
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
		Seen:     fmt.Sprintf("%d claims of live data, %d answers not on live data alone, %d untrue", claims, degraded, len(broken)), Verdict: verdict(claims > 0 && len(broken) == 0), Details: some(broken)}
}
