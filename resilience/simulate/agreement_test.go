package simulate_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/resilience"
	"github.com/backstay-go/backstay/resilience/record"
	"github.com/backstay-go/backstay/resilience/simulate"
)

// TestAReplayIsWhatTheGuardDid: a guard on the runtime's clock goes through random
// weather, and the replay of its record under the same policy is the same to the
// microsecond. Jitter is off, for it is drawn, and the budget is large, because which call gets
// the last token among goroutines that run at the same instant is open. So is what
// comes of other ties; they spoil few of the weathers.
func TestAReplayIsWhatTheGuardDid(t *testing.T) {
	const weathers, ties = 20, 4
	differ := 0
	seen := map[simulate.Outcome]int{}
	for seed := range uint64(weathers) {
		r := rand.New(rand.NewPCG(seed, 0))
		chance := func(p float64) bool { return r.Float64() < p }
		policy := resilience.Policy{
			Name:     "dep",
			Bulkhead: resilience.BulkheadPolicy{Limit: 1 + r.IntN(4), Queue: r.IntN(5), MaxWait: 30 * ms, LIFO: chance(0.5)},
			Budget:   &resilience.BudgetPolicy{Burst: 1000},
			Default:  resilience.OperationPolicy{Timeout: 100 * ms, Idempotent: true, Detach: chance(0.3)},
		}
		if chance(0.7) {
			policy.Breaker = &resilience.BreakerPolicy{Window: time.Second, MinimumCalls: 8, OpenFor: 200 * ms, SlowCall: 60 * ms, Jitter: -1}
		}
		if chance(0.5) {
			policy.Default.AttemptTimeout = 40 * ms
		}
		if chance(0.5) {
			policy.Default.Retry = &resilience.RetryPolicy{MaxAttempts: 3, BaseDelay: 1, MaxDelay: 1}
		}
		if chance(0.5) {
			policy.Default.Hedge = &resilience.HedgePolicy{Delay: 17 * ms}
		}
		if chance(0.3) {
			policy.Bulkhead.Adaptive = &resilience.AdaptivePolicy{Objective: 90 * ms}
		}
		if chance(0.3) {
			policy.RateLimit = &resilience.RateLimitPolicy{PerSecond: 60, Burst: 5}
		}
		rec := weather(t, policy, r)
		d := replay(t, rec, map[string]resilience.Policy{"dep": policy}, simulate.Options{Seed: seed}).Dependencies[0]
		if len(d.Changes) > 0 || !reflect.DeepEqual(d.Recorded, d.Replayed) {
			recorded, replayed := d.Recorded, d.Replayed
			recorded.Buckets, replayed.Buckets = nil, nil
			t.Logf("seed %d: %+v\nrecorded %+v\nreplayed %+v", seed, d.Changes, recorded, replayed)
			differ++
		}
		for o, n := range d.Replayed.Outcomes {
			seen[o] += n
		}
	}
	if differ > ties {
		t.Errorf("%d of %d weathers were replayed otherwise than they were", differ, weathers)
	}
	for _, o := range []simulate.Outcome{simulate.Live, simulate.Hedged, simulate.Open, simulate.Full, simulate.RateLimited, simulate.TimedOut, simulate.Failed} {
		if seen[o] < 10 {
			t.Errorf("only %d calls ended as %q: the weather shows too little", seen[o], o)
		}
	}
}

// busy is a marked refusal that says when to come again.
type busy time.Duration

func (busy) Error() string { return "busy" }
func (b busy) Verdict() resilience.Verdict {
	return resilience.Verdict{Outcome: resilience.Overload, After: time.Duration(b)}
}

// weather makes 150 calls through a guard, in a bubble, and returns their record. All
// times are whole microseconds, as in a record.
func weather(t *testing.T, policy resilience.Policy, r *rand.Rand) record.Record {
	micros := func(most int) time.Duration { return time.Duration(1+r.IntN(most)) * time.Microsecond }
	var out bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		w, err := record.NewWriter(&out, record.Options{})
		if err != nil {
			t.Fatal(err)
		}
		g, err := resilience.New(policy, resilience.WithListener(w))
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for i := range 150 {
			type answer struct {
				took time.Duration
				err  error
			}
			var answers []answer
			for range 6 {
				a := answer{took: micros(30_000)}
				switch x := r.Float64(); {
				case x < 0.1, i > 50 && i < 90 && x < 0.5:
					a.took = 100*ms + micros(50_000)
				case x < 0.2, i > 100 && i < 120 && x < 0.8:
					a.err = errors.New(fmt.Sprint("failure of call ", i))
				case x < 0.25:
					a.err = busy(micros(20_000))
				}
				answers = append(answers, a)
			}
			patience := time.Minute
			if r.Float64() < 0.3 {
				patience = micros(60_000)
			}
			wg.Go(func() {
				ctx, leave := context.WithTimeout(t.Context(), patience)
				defer leave()
				_, _ = resilience.Do(ctx, g, func(ctx context.Context) (int, error) {
					info, _ := resilience.AttemptFrom(ctx)
					a := answers[info.Number-1]
					select {
					case <-time.After(a.took):
						return 1, a.err
					case <-ctx.Done():
						return 0, ctx.Err()
					}
				}) // what came of it is in the record
			})
			time.Sleep(micros(20_000))
		}
		wg.Wait()
		time.Sleep(time.Second) // for losers and what was left behind
		if err := errors.Join(g.Close(), w.Close()); err != nil {
			t.Fatal(err)
		}
	})
	rec, err := record.ReadAll(&out)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}
