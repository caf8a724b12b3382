package demo

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/backstay-go/backstay/chaos/load"
	"github.com/backstay-go/backstay/chaos/report"
	"github.com/backstay-go/backstay/licensesvc/app"
	"github.com/backstay-go/backstay/licensesvc/upstream"
)

// outcomes and sources in the order in which they are stacked.
var (
	outcomes = []report.Value{
		{Name: gotDone, Tone: report.Good}, {Name: gotRefused, Tone: report.Neutral}, {Name: gotPromised, Tone: report.Degrade}, {Name: gotAccepted, Tone: report.Degrade},
		{Name: gotUnavailable, Tone: report.Refuse}, {Name: gotUnknown, Tone: report.Refuse}, {Name: gotError, Tone: report.Bad},
	}
	sources = []report.Value{
		{Name: "live", Tone: report.Good}, {Name: "hedge", Tone: report.Good}, {Name: "cache", Tone: report.Good},
		{Name: "stale", Tone: report.Degrade}, {Name: "static", Tone: report.Degrade},
	}
)

// report makes a report of a run.
func (h *house) report(r run, seed uint64) *report.Report {
	const width = time.Second
	rep := &report.Report{
		Title:   "The license service while its dependencies fail",
		Story:   fmt.Sprintf("%d members asked the service, on %s, for licenses, renewals, plays and more, at times of their own. Meanwhile %s.", members, h.backend.Name, h.backend.Plan.Name),
		Command: h.cfg.Command, Seed: seed, Started: r.load.Start, Length: load.Length(h.backend.Stages),
		Checks: judge(r), Faults: timeline(r.plan), Width: width, Buckets: r.load.Buckets(width), Lanes: h.lanes(r),
		Rows: report.RowsOf(r.load.Samples, kinds), Outcomes: outcomes, Sources: sources,
		Dependencies: []string{app.EventStore, upstream.Membership, upstream.Catalog, upstream.KeyService},
	}
	all := load.Quantiles(r.load.Samples, nil)
	good, _ := r.share(0, time.Hour)
	rep.Figures = []report.Figure{
		{Name: "requests", Value: fmt.Sprint(len(r.load.Samples))},
		{Name: "got what they are owed", Value: fmt.Sprintf("%.1f %%", 100*good), Note: "done, promised, accepted, or refused by a rule"},
		{Name: "p50", Value: all.P50.Round(100 * time.Microsecond).String()},
		{Name: "p99", Value: all.P99.Round(time.Millisecond).String(), Note: "from the time a request was meant to start"},
	}
	for _, d := range []string{upstream.Membership, upstream.Catalog, upstream.KeyService} {
		rep.Figures = append(rep.Figures, report.Figure{Name: "calls to " + d, Value: fmt.Sprint(h.witness.attempts(d)), Note: "attempts that went out, hedges and retries included"})
	}
	rep.Decide()
	return rep
}

// lanes are the breakers' states over the run.
func (h *house) lanes(r run) []report.Lane {
	changes, _ := h.service.Recorder().Changes()
	end := load.Length(h.backend.Stages)
	var lanes []report.Lane
	for _, g := range h.service.Guards() {
		lane := report.Lane{Name: g.Snapshot().Dependency}
		span := report.Span{State: "closed"}
		for _, c := range changes {
			if c.Dependency != lane.Name {
				continue
			}
			at := min(max(0, c.At.Sub(r.load.Start)), end)
			span.To = at
			if span.To > span.From {
				lane.Spans = append(lane.Spans, span)
			}
			span = report.Span{State: c.To.String(), From: at, Note: c.Why}
		}
		span.To = end
		lane.Spans = append(lane.Spans, span)
		lanes = append(lanes, lane)
	}
	if h.backend.Lanes != nil {
		lanes = append(lanes, h.backend.Lanes(r.load.Start, end)...)
	}
	return lanes
}

// tell prints the verdict.
func tell(out io.Writer, rep *report.Report, page string) {
	fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, c := range rep.Checks {
		fmt.Fprintf(w, "%s\t%s\t%s\n", strings.ToUpper(string(c.Verdict)), c.Name, c.Seen)
		for _, d := range c.Details {
			fmt.Fprintf(w, "\t  %s\t\n", d)
		}
	}
	// The writer is the terminal: who can't read it is not told that either.
	_ = w.Flush()
	fmt.Fprintf(out, "\nVerdict: %s. Report: %s\n", rep.Verdict, page)
}
