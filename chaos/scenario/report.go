package scenario

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/load"
	"github.com/backstay-go/backstay/chaos/report"
	"github.com/backstay-go/backstay/internal/version"
)

// report makes the report of the run. given is the scenario as its author wrote it.
func (r *result) report(given Scenario, command string) *report.Report {
	s := r.scenario
	length := s.Length()
	width := max(250*time.Millisecond, (length / 60).Round(250*time.Millisecond))
	about := strings.TrimSpace(s.About)
	if about == "" {
		about = r.labels.About
	}
	rep := &report.Report{
		Title: s.title(), Name: s.Name, Story: about, Command: command, Seed: s.Seed, Version: version.String(), Environment: report.Here(), Source: given.String(), Started: r.load.Start, Length: length,
		Checks: r.judge(), Faults: r.faults(), Width: width, Buckets: r.load.Buckets(width),
		Lanes: r.watch.lanes(length), Permits: r.watch.permits(width, length),
		Rows: report.RowsOf(r.load.Samples, r.labels.Kinds), Outcomes: r.labels.Outcomes, Sources: r.labels.Sources,
		Dependencies: r.labels.Dependencies, Traces: r.worth(),
	}
	for _, a := range s.Actions {
		rep.Faults = append(rep.Faults, report.Fault{Target: "action", What: a.Do, From: a.At, To: a.At + width})
	}
	all := load.Quantiles(r.load.Samples, nil)
	rep.Metrics = map[string]float64{
		"requests": float64(len(r.load.Samples)), "good": share(r.load.Samples, "good", nil),
		"p50_s": all.P50.Seconds(), "p99_s": all.P99.Seconds(),
	}
	rep.Figures = []report.Figure{
		{Name: "requests", Value: fmt.Sprint(len(r.load.Samples))},
		{Name: "served", Value: fmt.Sprintf("%.1f %%", 100*share(r.load.Samples, "good", nil)), Note: "right, stale and said so, or provisional"},
		{Name: "p50", Value: all.P50.Round(100 * time.Microsecond).String()},
		{Name: "p99", Value: all.P99.Round(time.Millisecond).String(), Note: "from the time a request was meant to start"},
	}
	rep.Latencies = map[string]report.Latencies{"all": report.LatenciesOf(r.load.Samples)}
	for _, m := range load.Meanings() {
		rep.Metrics["means "+string(m)] = share(r.load.Samples, string(m), nil)
	}
	r.disturbance(rep)
	rep.Decide()
	return rep
}

// disturbance adds figures about the effects of the faults.
func (r *result) disturbance(rep *report.Report) {
	from, to, ok := r.scenario.Disturbed()
	if !ok {
		return
	}
	during := samplesIn(r.load.Samples, span{from, to}, "")
	rep.Latencies["during faults"] = report.LatenciesOf(during)
	rep.Latencies["after faults"] = report.LatenciesOf(samplesIn(r.load.Samples, span{to, r.scenario.Length()}, ""))
	rep.Metrics["good during faults"] = share(during, "good", nil)
	rep.Metrics["p99_s during faults"] = load.Quantiles(during, nil).P99.Seconds()
	rep.Figures = append(rep.Figures, report.Figure{Name: "served during faults", Value: fmt.Sprintf("%.1f %%", 100*share(during, "good", nil))})
	for _, f := range []struct {
		name, none string
		d          time.Duration
	}{{"first effect after", "none was seen", r.detected()}, {"breaker opened after", "it stayed closed", opened(rep.Lanes, from)}, {"time to recover", "never", r.recovered()}} {
		value := f.none
		if f.d >= 0 {
			value = f.d.Round(10 * time.Millisecond).String()
			rep.Metrics[strings.ReplaceAll(f.name, " ", "_")+"_s"] = f.d.Seconds()
		}
		rep.Figures = append(rep.Figures, report.Figure{Name: f.name, Value: value})
	}
	for _, name := range r.watch.names {
		asked, sent := r.watch.counts(name, span{from, to})
		if sent == 0 || !r.harmed(name) {
			continue
		}
		v := float64(sent) / float64(max(1, asked))
		rep.Metrics["amplification "+name] = v
		rep.Figures = append(rep.Figures, report.Figure{Name: "amplification of " + name, Value: fmt.Sprintf("%.2f", v), Note: fmt.Sprintf("%d attempts for %d calls during the faults; below 1 where calls were refused without an attempt", sent, asked)})
	}
}

// opened returns the time from the first fault to the first breaker that opened, or -1 if none
// did.
func opened(lanes []report.Lane, from time.Duration) time.Duration {
	first := time.Duration(-1)
	for _, lane := range lanes {
		for _, s := range lane.Spans {
			if s.State == "open" && s.From >= from && (first < 0 || s.From-from < first) {
				first = s.From - from
			}
		}
	}
	return first
}

// harmed reports whether a fault was directed at the dependency.
func (r *result) harmed(name string) bool {
	return slices.ContainsFunc(r.scenario.Faults, func(f chaos.Rule) bool { return f.Where.Dependency == name })
}
