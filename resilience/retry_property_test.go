package resilience_test

import (
	"context"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/resilience"
	"pgregory.net/rapid"
)

// trial is what one attempt of a retry test comes to.
type trial struct {
	ok      bool
	verdict resilience.Verdict
	takes   time.Duration
}

var trials = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) trial {
	return trial{
		ok: rapid.IntRange(0, 4).Draw(t, "ok") == 0,
		verdict: resilience.Verdict{
			Outcome: rapid.SampledFrom([]resilience.Outcome{resilience.Failure, resilience.Failure, resilience.Overload, resilience.Ignored}).Draw(t, "outcome"),
			Repeat:  rapid.SampledFrom([]resilience.Repeat{resilience.RepeatIfIdempotent, resilience.RepeatIfIdempotent, resilience.RepeatAlways, resilience.RepeatNever}).Draw(t, "repeat"),
			After:   time.Duration(rapid.SampledFrom([]int{0, 0, 1, 5, 40}).Draw(t, "after, s")) * time.Second,
		},
		takes: time.Duration(rapid.SampledFrom([]int{0, 1, 10, 50}).Draw(t, "takes, s")) * time.Second,
	}
}), 1, 60)

// TestRetryAgreesWithTheModel runs calls one after the other and compares attempts,
// time and tokens with a loop that does what the policy says. The pauses of the
// policy's own are next to nothing, so that Retry-After alone decides.
func TestRetryAgreesWithTheModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := policy()
		p.Budget = &resilience.BudgetPolicy{Ratio: 0.5, Burst: rapid.IntRange(1, 4).Draw(rt, "burst")}
		p.Default = resilience.OperationPolicy{
			Timeout: time.Minute, Idempotent: rapid.Bool().Draw(rt, "idempotent"),
			Retry: &resilience.RetryPolicy{MaxAttempts: rapid.IntRange(2, 5).Draw(rt, "attempts"), BaseDelay: 1},
		}
		script := trials.Draw(rt, "trials")
		var problem string
		synctest.Test(t, func(t *testing.T) {
			g := mustNew(t, p)
			tokens := float64(p.Budget.Burst)
			for used := 0; used < len(script) && problem == ""; {
				// The model.
				tokens = min(float64(p.Budget.Burst), tokens+p.Budget.Ratio)
				attempts, lasts, ok := 0, time.Duration(0), false
				for {
					if used+attempts == len(script) {
						return // the script ends within a call
					}
					s := script[used+attempts]
					attempts++
					lasts += s.takes
					if ok = s.ok; ok {
						break
					}
					v := s.verdict
					repeats := v.Outcome != resilience.Ignored && v.Repeat != resilience.RepeatNever &&
						(v.Repeat == resilience.RepeatAlways || p.Default.Idempotent)
					if !repeats || attempts == p.Default.Retry.MaxAttempts || lasts+v.After >= p.Default.Timeout || tokens < 1-1e-9 {
						break
					}
					tokens--
					lasts += v.After
				}
				// The guard.
				start, n := time.Now(), 0
				_, err := resilience.Do(t.Context(), g, func(context.Context) (int, error) {
					s := script[used+n]
					n++
					time.Sleep(s.takes)
					if s.ok {
						return 1, nil
					}
					return 0, judged{s.verdict}
				})
				if took := time.Since(start); n != attempts || took < lasts || took > lasts+time.Microsecond || (err == nil) != ok || math.Abs(g.Snapshot().Budget-tokens) > 1e-3 {
					problem = fmt.Sprintf("after %d of %+v\n%d attempts in %v, %v, %v tokens; want %d in %v, success %v, %v tokens",
						used, script, n, took, err, g.Snapshot().Budget, attempts, lasts, ok, tokens)
				}
				used += attempts
			}
		})
		if problem != "" {
			rt.Fatal(problem)
		}
	})
}
