package scenario

import (
	"math"
	"testing"
	"time"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/load"
)

// madeUp is a run of ten seconds whose figures are known: a fault from 4 s to 6 s, ten
// requests per second, one in twenty slow. From seen on requests are refused, until back;
// a dependency has two and a half attempts per call during the fault, and its breaker
// opens at that time, if it is not 0.
func madeUp(seen, back, opens time.Duration) *result {
	s := Scenario{Name: "made-up", Load: []Stage{{For: 10 * time.Second, PerSecond: 10}}, Faults: []chaos.Rule{{Name: "hangs",
		Where: chaos.Where{Dependency: "db"}, When: chaos.When{From: 4 * time.Second, To: 6 * time.Second}, What: chaos.What{Kind: chaos.Hang}}}}.withDefaults()
	r := &result{scenario: s, watch: &watch{seen: map[string][]Dependency{}, names: []string{"db"}}, labels: Labels{Kinds: []string{"read"}}}
	for i := range 100 {
		at := time.Duration(i) * 100 * time.Millisecond
		sample := load.Sample{N: i, Intended: at, Sent: at, Done: at + 20*time.Millisecond, Kind: "read", Outcome: "done", Good: true, Means: load.Right}
		if i%20 == 19 {
			sample.Done = at + 500*time.Millisecond
		}
		if at >= seen && at < back {
			sample.Good, sample.Outcome, sample.Means = false, "refused", load.Refused
		}
		r.load.Samples = append(r.load.Samples, sample)
	}
	d := Dependency{Name: "db", State: "closed"}
	for at := time.Duration(0); at <= 10*time.Second; at += tick {
		if d.State = "closed"; opens > 0 && at >= opens && at < 7*time.Second {
			d.State = "open"
		}
		r.watch.at, r.watch.seen["db"] = append(r.watch.at, at), append(r.watch.seen["db"], d)
		d.Calls += 4
		if d.Attempts += 4; at >= 4*time.Second && at < 6*time.Second {
			d.Attempts += 6
		}
	}
	return r
}

func TestFiguresOfARunThatIsKnown(t *testing.T) {
	for name, c := range map[string]struct {
		run             *result
		detect, recover float64 // in seconds; -1: none
		good            float64
	}{
		"an answer tells":  {madeUp(4500*time.Millisecond, 7*time.Second, 0), 0.52, 1, 0.75},
		"a breaker tells":  {madeUp(4500*time.Millisecond, 7*time.Second, 4300*time.Millisecond), 0.3, 1, 0.75},
		"at once":          {madeUp(4*time.Second, 6*time.Second, 0), 0.02, 0, 0.8},
		"it does not":      {madeUp(4500*time.Millisecond, 10*time.Second, 0), 0.52, -1, 0.45},
		"nobody noticed":   {madeUp(0, 0, 0), -1, 0, 1},
		"it ended sooner":  {madeUp(5*time.Second, 5200*time.Millisecond, 0), 1.02, 0, 0.98},
		"back for a while": {gap(madeUp(4500*time.Millisecond, 7*time.Second, 0)), 0.52, 1.8, 0.72},
	} {
		t.Run(name, func(t *testing.T) {
			rep := c.run.report(c.run.scenario, "again")
			for metric, want := range map[string]float64{"first_effect_after_s": c.detect, "time_to_recover_s": c.recover, "good": c.good, "amplification db": 2.5, "requests": 100} {
				got, there := rep.Metrics[metric]
				if want < 0 && there || want >= 0 && (!there || math.Abs(got-want) > 1e-6) {
					t.Errorf("%s is %v (%t), want %v", metric, got, there, want)
				}
			}
			all := rep.Latencies["all"]
			for q, want := range map[float64]time.Duration{0.5: 20 * time.Millisecond, 0.95: 20 * time.Millisecond, 0.951: 500 * time.Millisecond, 0.99: 500 * time.Millisecond} {
				if got := all.Quantile(q); got != want {
					t.Errorf("quantile %g is %s, want %s", q, got, want)
				}
			}
			if p50, p99 := rep.Metrics["p50_s"], rep.Metrics["p99_s"]; p50 != all.Quantile(0.5).Seconds() || p99 != all.Quantile(0.99).Seconds() {
				t.Errorf("p50 %v, p99 %v; want %s and %s, as the latencies say", p50, p99, all.Quantile(0.5), all.Quantile(0.99))
			}
			if f := rep.Faults; len(f) != 1 || f[0].From != 4*time.Second || f[0].To != 6*time.Second || f[0].Target != "db" {
				t.Errorf("faults %+v", f)
			}
		})
	}
}

// gap adds requests that fail, some time after it was back.
func gap(r *result) *result {
	for i := range r.load.Samples {
		if s := &r.load.Samples[i]; s.Intended >= 7500*time.Millisecond && s.Intended < 7800*time.Millisecond {
			s.Good, s.Means = false, load.Refused
		}
	}
	return r
}
