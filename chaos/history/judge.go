package history

import (
	"fmt"
	"slices"
	"time"

	"github.com/backstay-go/backstay/chaos/report"
)

// bound is the time limit of the search for an order.
const bound = 30 * time.Second

// Judge compares a history with what an event store promises. final holds the content of each
// stream after everything has settled. It must include every stream to which an acknowledged
// append went.
func (h History) Judge(final map[string][]Event) []report.Check {
	return []report.Check{h.order(), whole(h, final), once(h, final)}
}

func verdict(ok bool) report.Verdict {
	if ok {
		return report.Passed
	}
	return report.Failed
}

func (h History) order() report.Check {
	c := report.Check{Name: "there is one order", Promised: "stream by stream, one order of all operations explains every answer (linearizability)"}
	unknown := 0
	for _, op := range h {
		if op.Outcome == Unknown {
			unknown++
		}
	}
	ok, decided, why := h.Linearizable(bound)
	c.Seen = fmt.Sprintf("%d operations, %d of unknown outcome", len(h), unknown)
	c.Verdict = verdict(ok)
	switch {
	case !decided:
		c.Verdict = report.Undecided
		c.Seen += fmt.Sprintf("; it could not be decided within %s, at stream %s", bound, why)
	case !ok:
		c.Seen += "; there is none for stream " + why
		for _, op := range h {
			if op.Stream == why && len(c.Details) < 20 {
				c.Details = append(c.Details, fmt.Sprintf("%s to %s: %s", op.Call.Round(time.Microsecond), op.Return.Round(time.Microsecond), describe(op)))
			}
		}
	}
	return c
}

// whole looks for gaps and duplicates in what was read, and for forks between reads.
func whole(h History, final map[string][]Event) report.Check {
	c := report.Check{Name: "streams are whole", Promised: "versions go up by one from 1, a commit is in one place, and two reads agree on what both hold"}
	reads := 0
	look := func(who, stream string, events []Event) {
		reads++
		places := map[string]int64{}
		for i, e := range events {
			if e.Version != int64(i+1) {
				c.Details = append(c.Details, fmt.Sprintf("%s, %s: version %d stands at place %d", who, stream, e.Version, i+1))
				return
			}
			if at, ok := places[e.Commit]; ok && at != e.Version-1 {
				c.Details = append(c.Details, fmt.Sprintf("%s, %s: commit %s is at version %d and at %d", who, stream, e.Commit, at, e.Version))
			}
			places[e.Commit] = e.Version
		}
		end := final[stream]
		for i, e := range events {
			if i < len(end) && end[i].Commit != e.Commit {
				c.Details = append(c.Details, fmt.Sprintf("%s, %s: version %d was commit %s, and is %s at the end", who, stream, e.Version, e.Commit, end[i].Commit))
				return
			}
		}
		if len(events) > len(end) {
			c.Details = append(c.Details, fmt.Sprintf("%s, %s: %d events were read, and %d are there at the end", who, stream, len(events), len(end)))
		}
	}
	for stream, events := range final {
		look("at the end", stream, events)
	}
	for _, op := range h {
		if op.Commit == "" && op.Outcome == Applied {
			look(fmt.Sprintf("read at %s", op.Call.Round(time.Microsecond)), op.Stream, op.Saw)
		}
	}
	c.Seen = fmt.Sprintf("%d streams, %d reads, %d broken", len(final), reads-len(final), len(c.Details))
	c.Verdict = verdict(reads > 0 && len(c.Details) == 0)
	return first(c)
}

// once checks that each acknowledged commit is there exactly once at the end, and that no
// refused one is there.
func once(h History, final map[string][]Event) report.Check {
	c := report.Check{Name: "acknowledged exactly once", Promised: "what was acknowledged is there, whole and once; what was refused is not; what is unknown is there once at most"}
	type key struct{ stream, commit string }
	count := map[key]int{}
	for stream, events := range final {
		for _, e := range events {
			count[key{stream, e.Commit}]++
		}
	}
	acknowledged, unknown := map[key]int{}, map[key]int{}
	refused := map[key]bool{}
	for _, op := range h {
		if op.Commit == "" {
			continue
		}
		k := key{op.Stream, op.Commit}
		switch op.Outcome {
		case Applied:
			acknowledged[k] = op.Events
		case Unknown:
			unknown[k] = op.Events
		default:
			refused[k] = true
		}
	}
	for k, n := range acknowledged {
		if count[k] != n {
			c.Details = append(c.Details, fmt.Sprintf("%s in %s: acknowledged with %d events, %d are there", k.commit, k.stream, n, count[k]))
		}
	}
	for k, n := range unknown {
		if _, ok := acknowledged[k]; !ok && count[k] != 0 && count[k] != n {
			c.Details = append(c.Details, fmt.Sprintf("%s in %s: unknown, with %d events, %d are there", k.commit, k.stream, n, count[k]))
		}
	}
	for k := range refused {
		_, ok := acknowledged[k]
		_, may := unknown[k]
		if !ok && !may && count[k] != 0 {
			c.Details = append(c.Details, fmt.Sprintf("%s in %s: refused, and %d events are there", k.commit, k.stream, count[k]))
		}
	}
	for k := range count {
		_, a := acknowledged[k]
		_, u := unknown[k]
		if !a && !u && !refused[k] {
			c.Details = append(c.Details, fmt.Sprintf("%s in %s: nobody appended it", k.commit, k.stream))
		}
	}
	c.Seen = fmt.Sprintf("%d acknowledged, %d unknown, %d refused; %d broken", len(acknowledged), len(unknown), len(refused), len(c.Details))
	c.Verdict = verdict(len(acknowledged) > 0 && len(c.Details) == 0)
	return first(c)
}

// first keeps only the first few details, in order.
func first(c report.Check) report.Check {
	slices.Sort(c.Details)
	c.Details = c.Details[:min(len(c.Details), 10)]
	return c
}
