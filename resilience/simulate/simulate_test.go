package simulate_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
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

// TestWhatIsMadeOfARecord replays small records whose outcome can be worked out by hand.
func TestWhatIsMadeOfARecord(t *testing.T) {
	for _, c := range []struct {
		name, record string
		policies     map[string]resilience.Policy
		options      simulate.Options
		want         map[simulate.Outcome]int
		check        func(*testing.T, simulate.Dependency)
	}{
		{
			name:   "a failure is repeated, as its own second attempt went",
			record: "0 dep default critical live - 30000 f0+10000,s20000+10000\n",
			policies: one(func(p *resilience.Policy) {
				p.Default.Idempotent, p.Default.Retry = true, &resilience.RetryPolicy{BaseDelay: 1, MaxDelay: 1}
			}),
			want: map[simulate.Outcome]int{simulate.Live: 1},
			check: func(t *testing.T, d simulate.Dependency) {
				if d.Replayed.Attempts != 2 || d.Replayed.Retries != 1 || d.Replayed.Latency.Max != 20*ms || d.Drawn.Own != 2 {
					t.Errorf("%+v %+v", d.Replayed, d.Drawn)
				}
			},
		},
		{
			name:     "without retry it fails",
			record:   "0 dep default critical live - 30000 f0+10000,s20000+10000\n",
			policies: one(nil),
			want:     map[simulate.Outcome]int{simulate.Failed: 1},
		},
		{
			name:     "what was refused is admitted, and answered as the others",
			record:   "0 dep default critical live - 30000 s0+30000\n1000 dep default critical none full 0 -\n",
			policies: one(nil),
			want:     map[simulate.Outcome]int{simulate.Live: 2},
			check: func(t *testing.T, d simulate.Dependency) {
				if d.Drawn.Own != 1 || d.Drawn.Near != 1 || d.Replayed.PeakRunning != 2 || d.Recorded.PeakRunning != 1 {
					t.Errorf("%+v", d)
				}
			},
		},
		{
			name:     "a smaller bulkhead refuses",
			record:   "0 dep default critical live - 30000 s0+30000\n1000 dep default critical live - 30000 s0+30000\n",
			policies: one(func(p *resilience.Policy) { p.Bulkhead.Limit = 1 }),
			want:     map[simulate.Outcome]int{simulate.Live: 1, simulate.Full: 1},
		},
		{
			name:     "one that queues does not; the more important call is first",
			record:   "0 dep default critical live - 30000 s0+30000\n1000 dep default sheddable live - 30000 s0+30000\n2000 dep default critical live - 30000 s0+30000\n",
			policies: one(func(p *resilience.Policy) { p.Bulkhead.Limit, p.Bulkhead.Queue = 1, 5 }),
			want:     map[simulate.Outcome]int{simulate.Live: 3},
			check: func(t *testing.T, d simulate.Dependency) {
				if d.Replayed.Latency.Max != 89*ms || d.Replayed.Latency.P50 != 58*ms {
					t.Errorf("%+v", d.Replayed.Latency)
				}
			},
		},
		{
			name:     "a cut attempt goes on as a longer one nearby",
			record:   "0 dep default critical none timeout 100000 f0+100000c\n1000 dep default critical live - 400000 s0+400000\n",
			policies: one(nil),
			want:     map[simulate.Outcome]int{simulate.Live: 2},
			check: func(t *testing.T, d simulate.Dependency) {
				if d.Drawn.Continued != 1 || d.Drawn.Unanswered != 0 {
					t.Errorf("%+v", d.Drawn)
				}
			},
		},
		{
			name:     "or is never answered",
			record:   "0 dep default critical none timeout 100000 f0+100000c\n9000000 dep default critical live - 400000 s0+400000\n",
			policies: one(nil),
			want:     map[simulate.Outcome]int{simulate.TimedOut: 1, simulate.Live: 1},
		},
		{
			name:     "the last good value stands in, while it is young enough",
			record:   "0 dep default critical live - 1000 s0+1000\n500000 dep default critical none failed 1000 f0+1000\n3000000 dep default critical none failed 1000 f0+1000\n",
			policies: one(func(p *resilience.Policy) { p.Default.Stale = &resilience.StalePolicy{MaxAge: time.Second} }),
			want:     map[simulate.Outcome]int{simulate.Live: 1, simulate.Stale: 1, simulate.Failed: 1},
		},
		{
			name:     "not for a key that is unknown",
			record:   "0 dep default critical live - 1000 s0+1000\n500000 dep default critical none failed 1000 f0+1000\n",
			policies: one(func(p *resilience.Policy) { p.Default.Stale = &resilience.StalePolicy{MaxAge: time.Second} }),
			options:  simulate.Options{Unknown: 1},
			want:     map[simulate.Outcome]int{simulate.Live: 1, simulate.Failed: 1},
		},
		{
			name:     "an operation with a static value keeps it",
			record:   "0 dep default critical static failed 1000 f0+1000\n1000000 dep default critical none failed 1000 f0+1000\n",
			policies: one(nil),
			want:     map[simulate.Outcome]int{simulate.Static: 2},
		},
		{
			name:   "a cache stays one",
			record: "0 dep default critical live - 1000 s0+1000\n10000 dep default critical cache - 1 -\n",
			policies: one(func(p *resilience.Policy) {
				p.Default.Stale = &resilience.StalePolicy{MaxAge: time.Second, FreshFor: ms}
			}),
			want: map[simulate.Outcome]int{simulate.Live: 1, simulate.Cached: 1},
		},
		{
			name:     "or its answers become calls",
			record:   "0 dep default critical live - 1000 s0+1000\n10000 dep default critical cache - 1 -\n",
			policies: one(nil),
			want:     map[simulate.Outcome]int{simulate.Live: 2},
			check: func(t *testing.T, d simulate.Dependency) {
				if d.Replayed.Attempts != 2 {
					t.Errorf("%d attempts", d.Replayed.Attempts)
				}
			},
		},
		{
			name:     "a shared answer stays as it was",
			record:   "0 dep default critical live - 1000 s0+1000\n0 dep default critical live - 1000 -\n",
			policies: one(nil),
			want:     map[simulate.Outcome]int{simulate.Live: 2},
			check: func(t *testing.T, d simulate.Dependency) {
				if d.Replayed.Attempts != 1 || len(d.Notes) != 1 {
					t.Errorf("%+v", d)
				}
			},
		},
		{
			name:     "an answer that was judged Ignored is an answer",
			record:   "0 dep default critical none failed 1000 i0+1000\n",
			policies: one(func(p *resilience.Policy) { p.Default.Stale = &resilience.StalePolicy{MaxAge: time.Hour} }),
			want:     map[simulate.Outcome]int{simulate.Ignored: 1},
			check: func(t *testing.T, d simulate.Dependency) {
				if d.Replayed.InTime != 1 || d.Recorded.InTime != 1 {
					t.Errorf("%+v", d)
				}
			},
		},
		{
			name:   "a hedge wins, the loser is load",
			record: "0 dep default critical live - 500000 s0+500000,s400000+10000h\n",
			policies: one(func(p *resilience.Policy) {
				p.Default.Idempotent, p.Default.Hedge = true, &resilience.HedgePolicy{Delay: 100 * ms}
			}),
			want: map[simulate.Outcome]int{simulate.Hedged: 1},
			check: func(t *testing.T, d simulate.Dependency) {
				if d.Replayed.Hedges != 1 || d.Replayed.CutOff != 1 || d.Replayed.Latency.Max != 110*ms {
					t.Errorf("%+v", d.Replayed)
				}
			},
		},
		{
			name: "workers make a queue: what was waiting is not work",
			// Two workers had three calls of 100 ms at once; the third waited.
			record:   "0 dep default critical live - 100000 s0+100000\n0 dep default critical live - 100000 s0+100000\n0 dep default critical live - 200000 s0+200000\n",
			policies: one(func(p *resilience.Policy) { p.Bulkhead.Limit = 2 }),
			options:  simulate.Options{Workers: 2},
			want:     map[simulate.Outcome]int{simulate.Live: 2, simulate.Full: 1},
			check: func(t *testing.T, d simulate.Dependency) {
				if d.Replayed.Latency.Max != 100*ms {
					t.Errorf("%+v", d.Replayed.Latency)
				}
			},
		},
		{
			name:     "fewer workers make it longer",
			record:   "0 dep default critical live - 100000 s0+100000\n0 dep default critical live - 100000 s0+100000\n0 dep default critical live - 200000 s0+200000\n",
			policies: one(nil),
			options:  simulate.Options{Workers: 1},
			want:     map[simulate.Outcome]int{simulate.Live: 3},
			check: func(t *testing.T, d simulate.Dependency) {
				if d.Replayed.Latency.Max != 200*ms { // 100, 0 and 100 ms of work for one worker
					t.Errorf("%+v", d.Replayed.Latency)
				}
			},
		},
		{
			name:     "the work of who has gone is done all the same",
			record:   "0 dep default critical live - 300000 s0+300000\n200000 dep default critical live - 110000 s0+110000\n400000 dep default critical live - 10000 s0+10000\n",
			policies: one(func(p *resilience.Policy) { p.Default.Timeout = 50 * ms }),
			options:  simulate.Options{Workers: 1},
			want:     map[simulate.Outcome]int{simulate.TimedOut: 2, simulate.Live: 1},
		},
		{
			name:     "in time is what its caller could use",
			record:   "0 dep default critical live - 30000 s0+30000\n1000 dep default critical live - 10000 s0+10000\n",
			policies: one(nil),
			options:  simulate.Options{Within: 20 * ms},
			want:     map[simulate.Outcome]int{simulate.Live: 2},
			check: func(t *testing.T, d simulate.Dependency) {
				if d.Recorded.InTime != 1 || d.Replayed.InTime != 1 {
					t.Errorf("%+v", d)
				}
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := replay(t, parse(t, c.record), c.policies, c.options).Dependencies[0]
			if !maps.Equal(d.Replayed.Outcomes, c.want) {
				t.Errorf("have %v, want %v", d.Replayed.Outcomes, c.want)
			}
			if c.check != nil {
				c.check(t, d)
			}
		})
	}
}

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
		{"workers", good, simulate.Options{Workers: -1}, "workers is -1"},
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
		n := rapid.IntRange(1, 60).Draw(rt, "calls")
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
