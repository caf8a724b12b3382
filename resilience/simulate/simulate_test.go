package simulate_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/backstay-go/backstay/resilience"
	"github.com/backstay-go/backstay/resilience/policyfile"
	"github.com/backstay-go/backstay/resilience/record"
	"github.com/backstay-go/backstay/resilience/simulate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const incident = "../../docs/how-to/replay-an-incident/"

// read returns the incident of the how-to, and one of its policies.
func read(t testing.TB, policy string) (record.Record, policyfile.Policies) {
	t.Helper()
	text, err := os.ReadFile(incident + "catalog.record")
	if err != nil {
		t.Fatal(err)
	}
	rec, err := record.ReadAll(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	policies, _, err := policyfile.Load(incident + policy)
	if err != nil {
		t.Fatal(err)
	}
	return rec, policies
}

func replay(t testing.TB, rec record.Record, policies map[string]resilience.Policy, o simulate.Options) *simulate.Report {
	t.Helper()
	r, err := simulate.Replay(t.Context(), rec, policies, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestThePolicyOfThenGivesWhatHappened: without that, no other policy's replay means anything.
func TestThePolicyOfThenGivesWhatHappened(t *testing.T) {
	rec, policies := read(t, "then.yaml")
	d := replay(t, rec, policies, simulate.Options{Seed: 1}).Dependencies[0]
	for outcome, was := range d.Recorded.Outcomes {
		if is := d.Replayed.Outcomes[outcome]; abs(is-was) > len(rec.Calls)/50 {
			t.Errorf("%s: recorded %d, replayed %d; they may differ by jitter, not by more than 2 %% of the calls", outcome, was, is)
		}
	}
	if was, is := d.Recorded.Attempts, d.Replayed.Attempts; abs(is-was) > was/20 {
		t.Errorf("recorded %d attempts, replayed %d", was, is)
	}
}

func abs(n int) int { return max(n, -n) }

// TestTheSameSeedGivesTheSameReport, to the byte.
func TestTheSameSeedGivesTheSameReport(t *testing.T) {
	rec, policies := read(t, "new.yaml")
	p := policies["catalog"]
	op := p.Operations["policy"]
	op.Hedge = &resilience.HedgePolicy{Delay: 60 * time.Millisecond, Quantile: 0.95}
	p.Operations["policy"] = op
	p.Bulkhead.Adaptive = &resilience.AdaptivePolicy{Objective: 400 * time.Millisecond}
	policies["catalog"] = p
	text := func(seed uint64) string {
		out, err := json.Marshal(replay(t, rec, policies, simulate.Options{Seed: seed, Workers: 8}))
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	first := text(1)
	for range 3 {
		if text(1) != first {
			t.Fatal("the same seed gave another report")
		}
	}
	if text(2) == first {
		t.Error("another seed gave the same report")
	}
}

// parse reads calls from lines of a record.
func parse(t testing.TB, lines string) record.Record {
	t.Helper()
	rec, err := record.ReadAll(strings.NewReader("backstay-record 1 2026-01-01T00:00:00Z\n" + lines))
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// one is the policies of one dependency, dep.
func one(change func(*resilience.Policy)) map[string]resilience.Policy {
	p := resilience.Policy{
		Name: "dep", Bulkhead: resilience.BulkheadPolicy{Limit: 10},
		Default: resilience.OperationPolicy{Timeout: time.Second},
	}
	if change != nil {
		change(&p)
	}
	return map[string]resilience.Policy{"dep": p}
}

const ms = time.Millisecond

// TestABreakerOpensAndRecovers on the replay's own time.
func TestABreakerOpensAndRecovers(t *testing.T) {
	var lines strings.Builder
	for i := range 600 { // one call each 100 ms; down from the 10th second to the 20th
		outcome := 's'
		if i >= 100 && i < 200 {
			outcome = 'f'
		}
		fmt.Fprintf(&lines, "%d dep default critical live - 1000 %c0+1000\n", i*100_000, outcome)
	}
	r := replay(t, parse(t, lines.String()), one(func(p *resilience.Policy) {
		p.Breaker = &resilience.BreakerPolicy{Window: 2 * time.Second, MinimumCalls: 5, OpenFor: time.Second, Jitter: -1}
	}), simulate.Options{})
	d := r.Dependencies[0]
	opened, closed := d.Breaker[1], d.Breaker[len(d.Breaker)-1]
	if opened.State != resilience.BreakerOpen || opened.From < 10*time.Second || opened.From > 11500*ms {
		t.Errorf("opened %+v", opened)
	}
	if closed.State != resilience.BreakerClosed || closed.From < 20*time.Second || closed.From > 26*time.Second || closed.To != r.Length {
		t.Errorf("closed %+v", closed)
	}
	for i, s := range d.Breaker[1:] {
		if s.From != d.Breaker[i].To {
			t.Errorf("a gap before %+v", s)
		}
	}
	if len(d.Operations) != 1 || !maps.Equal(d.Operations[0].Replayed.Outcomes, d.Replayed.Outcomes) || d.Operations[0].Recorded.Attempts != 600 {
		t.Errorf("by operation: %+v", d.Operations)
	}
	if d.Replayed.Outcomes[simulate.Open] < 60 || d.Replayed.Attempts > 540 {
		t.Errorf("%+v", d.Replayed.Outcomes)
	}
}

// TestLoad: about as many calls as asked for, spread as those of the record, and the same
// ones again for the same seed.
func TestLoad(t *testing.T) {
	rec, policies := read(t, "new.yaml")
	was := len(rec.Calls)
	for _, load := range []float64{0.5, 1.5, 3} {
		o := simulate.Options{Seed: 1, Load: load}
		r := replay(t, rec, policies, o)
		d := r.Dependencies[0]
		if want := load * float64(was); math.Abs(float64(d.Replayed.Calls)-want) > 0.05*want || d.Recorded.Calls != was {
			t.Errorf("load %v: %d calls of %d", load, d.Replayed.Calls, d.Recorded.Calls)
		}
		for i, b := range d.Recorded.Buckets {
			if got, want := float64(d.Replayed.Buckets[i].Calls), load*float64(b.Calls); math.Abs(got-want) > 0.6*want+3 {
				t.Errorf("load %v: %v calls after %v, where %d were", load, got, time.Duration(i)*r.Width, b.Calls)
			}
		}
		if load == 1.5 && !reflect.DeepEqual(replay(t, rec, policies, o), r) {
			t.Errorf("load %v: the same seed gave another report", load)
		}
	}
	if d := replay(t, rec, policies, simulate.Options{Seed: 1, Load: 1}).Dependencies[0]; d.Replayed.Calls != was {
		t.Errorf("load 1: %d calls of %d", d.Replayed.Calls, was)
	}
}

func TestWhatCannotBeReplayed(t *testing.T) {
	good := "0 dep default critical live - 1000 s0+1000\n"
	for _, c := range []struct {
		name, record string
		options      simulate.Options
		says         string
	}{
		{"no call of ours", "0 other default critical live - 1000 s0+1000\n", simulate.Options{}, "it has other, they have dep"},
		{"nothing", "", simulate.Options{}, "it has none"},
		{"another operation", "0 dep plan critical live - 1000 s0+1000\n", simulate.Options{}, `operation "plan"`},
		{"no attempt", "0 dep default critical none full 1 -\n", simulate.Options{}, "no attempt"},
		{"ages", "9000000000000000 dep default critical live - 9000000000000000 s0+1000\n", simulate.Options{}, "call 1, which starts at"},
		{"a long attempt", good + "1 dep default critical live - 1 s0+9000000000000000\n", simulate.Options{}, "call 2, which starts at"},
		{"workers", good, simulate.Options{Workers: -1}, "workers is -1"},
		{"workers without bound", good, simulate.Options{Workers: 100_000_000}, "workers is 100000000"},
		{"load", good, simulate.Options{Load: -1}, "load is -1"},
		{"much load", good, simulate.Options{Load: 101}, "load is 101"},
		{"no load", good, simulate.Options{Load: math.NaN()}, "load is NaN"},
		{"within", good, simulate.Options{Within: -1}, "within is -1ns"},
		{"unknown", good, simulate.Options{Unknown: 2}, "unknown is 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := simulate.Replay(t.Context(), parse(t, c.record), one(nil), c.options)
			if !errors.Is(err, simulate.ErrReplay) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v; want %q", err, c.says)
			}
		})
	}
	if _, err := simulate.Replay(t.Context(), parse(t, good), one(func(p *resilience.Policy) { p.Bulkhead.Limit = 0 }), simulate.Options{}); !errors.Is(err, resilience.ErrPolicy) {
		t.Errorf("a bad policy: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := simulate.Replay(ctx, parse(t, good), one(nil), simulate.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestEachCallHasOneOutcome, whatever the record and the policy.
func TestEachCallHasOneOutcome(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var lines strings.Builder
		at := 0
		n := rapid.IntRange(1, 30).Draw(rt, "calls")
		for i := range n {
			at += rapid.IntRange(0, 200_000).Draw(rt, "gap")
			if i > 0 && rapid.Bool().Draw(rt, "refused") {
				fmt.Fprintf(&lines, "%d dep default critical none full 0 -\n", at)
				continue
			}
			took := rapid.IntRange(0, 900_000).Draw(rt, "took")
			fmt.Fprintf(&lines, "%d dep default critical live - %d %s0+%d%s\n", at, took,
				rapid.SampledFrom([]string{"s", "f", "o", "i"}).Draw(rt, "outcome"), took, rapid.SampledFrom([]string{"", "c"}).Draw(rt, "cut"))
		}
		policies := one(func(p *resilience.Policy) {
			p.Bulkhead.Limit = rapid.IntRange(1, 5).Draw(rt, "limit")
			p.Bulkhead.Queue = rapid.IntRange(0, 5).Draw(rt, "queue")
			p.Breaker = &resilience.BreakerPolicy{MinimumCalls: rapid.IntRange(1, 20).Draw(rt, "minimum"), OpenFor: 300 * ms}
			p.Budget = &resilience.BudgetPolicy{Ratio: 0.5, Burst: 2}
			p.Default.Idempotent = true
			p.Default.AttemptTimeout = rapid.SampledFrom([]time.Duration{0, 100 * ms}).Draw(rt, "attempt timeout")
			p.Default.Detach = rapid.Bool().Draw(rt, "detach")
			if rapid.Bool().Draw(rt, "retries") {
				p.Default.Retry = &resilience.RetryPolicy{BaseDelay: 10 * ms}
			}
			if rapid.Bool().Draw(rt, "hedges") {
				p.Default.Hedge = &resilience.HedgePolicy{Delay: 30 * ms, MaxHedges: 2}
			}
		})
		limit := policies["dep"].Bulkhead.Limit
		r, err := simulate.Replay(t.Context(), parse(t, lines.String()), policies, simulate.Options{Workers: rapid.IntRange(0, 3).Draw(rt, "workers")})
		if err != nil {
			rt.Fatal(err)
		}
		s := r.Dependencies[0].Replayed
		total, inBuckets := 0, 0
		for _, n := range s.Outcomes {
			total += n
		}
		for _, b := range s.Buckets {
			inBuckets += b.Calls
		}
		if total != n || inBuckets != n || s.Calls != n {
			rt.Fatalf("%d outcomes and %d calls in buckets of %d calls", total, inBuckets, n)
		}
		if s.PeakRunning > limit {
			rt.Fatalf("%d ran at once under a limit of %d", s.PeakRunning, limit)
		}
		if most := n + n/2 + 2; s.Attempts > most {
			rt.Fatalf("%d attempts of %d calls; at most %d by the budget", s.Attempts, n, most)
		}
	})
}

// TestAReportIsReadBackFromJSON.
func TestAReportIsReadBackFromJSON(t *testing.T) {
	for name, text := range map[string]string{
		"one call of no length": "0 catalog default critical live - 0 s0+0\n",
		"refused":               "0 catalog default critical none open 1 -\n9 catalog default critical live - 1 s0+1\n",
		"a breaker that opens":  strings.Repeat("0 catalog default critical none failed 1 f0+1\n", 200),
	} {
		r := replay(t, parse(t, strings.ReplaceAll(text, "catalog", "dep")), one(nil), simulate.Options{Load: 1.5, Workers: 2})
		first, err := json.Marshal(r)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var back simulate.Report
		if err := json.Unmarshal(first, &back); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if second, err := json.Marshal(back); err != nil || !bytes.Equal(first, second) {
			t.Errorf("%s: %s\nis not\n%s\n%v", name, second, first, err)
		}
	}
}
