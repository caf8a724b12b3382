package simulate_test

import (
	"maps"
	"testing"
	"time"

	"github.com/backstay-go/backstay/resilience"
	"github.com/backstay-go/backstay/resilience/simulate"
)

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
			name:     "the work of a caller that has gone is done all the same",
			record:   "0 dep default critical live - 300000 s0+300000\n200000 dep default critical live - 110000 s0+110000\n400000 dep default critical live - 10000 s0+10000\n",
			policies: one(func(p *resilience.Policy) { p.Default.Timeout = 50 * ms }),
			options:  simulate.Options{Workers: 1},
			want:     map[simulate.Outcome]int{simulate.TimedOut: 2, simulate.Live: 1},
		},
		{
			name:     "a caller leaves at its own deadline, which is no failure",
			record:   "0 dep default critical none timeout 50000 i0+50000c 50000\n1000 dep default critical live - 10000 s0+10000\n100000 dep default critical live - 10000 s0+10000\n",
			policies: one(func(p *resilience.Policy) { p.Breaker = &resilience.BreakerPolicy{MinimumCalls: 1, FailureRate: 0.1} }),
			want:     map[simulate.Outcome]int{simulate.TimedOut: 1, simulate.Live: 2},
			check: func(t *testing.T, d simulate.Dependency) {
				if d.Replayed.Latency.Max != 50*ms || len(d.Changes) > 0 {
					t.Errorf("%+v %+v", d.Replayed.Latency, d.Changes)
				}
			},
		},
		{
			name:   "a retry waits for as long as the dependency asked",
			record: "0 dep default critical live - 120000 o0+10000r100000,s110000+10000\n",
			policies: one(func(p *resilience.Policy) {
				p.Default.Idempotent, p.Default.Retry = true, &resilience.RetryPolicy{BaseDelay: 1, MaxDelay: 1}
			}),
			want: map[simulate.Outcome]int{simulate.Live: 1},
			check: func(t *testing.T, d simulate.Dependency) {
				if d.Replayed.Latency.Max != 120*ms {
					t.Errorf("%+v", d.Replayed.Latency)
				}
			},
		},
		{
			name:     "twice the load: an extra call after each, before the next",
			record:   "0 dep default critical live - 30000 s0+30000\n10000 dep default critical live - 30000 s0+30000\n",
			policies: one(func(p *resilience.Policy) { p.Bulkhead.Limit = 3 }),
			options:  simulate.Options{Load: 2},
			want:     map[simulate.Outcome]int{simulate.Live: 3, simulate.Full: 1},
			check: func(t *testing.T, d simulate.Dependency) {
				if d.Recorded.Calls != 2 || d.Replayed.Calls != 4 || d.Operations[0].Recorded.Calls != 2 || d.Operations[0].Replayed.Calls != 4 {
					t.Errorf("%+v", d)
				}
			},
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
