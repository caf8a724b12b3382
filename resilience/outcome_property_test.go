package resilience_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/resilience"
	"pgregory.net/rapid"
)

// deed is what one attempt does, and how long it takes.
type deed struct {
	how      string // answers, fails, ignored, overloaded, panics, exits
	takes    time.Duration
	stubborn bool // ignores its context
}

func (d deed) run(ctx context.Context) (int, error) {
	if d.stubborn {
		time.Sleep(d.takes)
	} else if _, err := takes(d.takes)(ctx); err != nil {
		return 0, err
	}
	switch d.how {
	case "fails":
		return 0, errDown
	case "ignored":
		return 0, errIgnored
	case "overloaded":
		return 0, judged{resilience.Verdict{Outcome: resilience.Overload, Repeat: resilience.RepeatAlways, After: time.Millisecond}}
	case "panics":
		panic(errDown)
	case "exits":
		runtime.Goexit()
	}
	return 1, nil
}

var deeds = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) deed {
	return deed{
		how:      rapid.SampledFrom([]string{"answers", "answers", "answers", "fails", "fails", "ignored", "overloaded", "panics", "exits"}).Draw(t, "how"),
		takes:    time.Duration(rapid.SampledFrom([]int{0, 1, 5, 20, 60, 150}).Draw(t, "ms")) * time.Millisecond,
		stubborn: rapid.Bool().Draw(t, "stubborn"),
	}
}), 1, 20)

// TestEachCallEndsInOneWay runs calls of every kind side by side, against a
// dependency that does everything a dependency does, while the policy is changed.
// Each call must end once, as value, error, panic or Goexit; each that is reported as
// started must be reported as ended once, and so its attempts; permits never exceed the
// limit and all come back; the breaker hears of no attempt twice.
func TestEachCallEndsInOneWay(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		script := deeds.Draw(rt, "deeds")
		limit := rapid.IntRange(1, 4).Draw(rt, "limit")
		queue := rapid.IntRange(0, 4).Draw(rt, "queue")
		lifo := rapid.Bool().Draw(rt, "lifo")
		kinds := rapid.SliceOfN(rapid.IntRange(0, 5), 1, 30).Draw(rt, "kinds")
		leaves := rapid.IntRange(0, 3).Draw(rt, "one in so many leaves")
		var problem string
		synctest.Test(t, func(t *testing.T) {
			problem = endInOneWay(t, script, limit, queue, lifo, kinds, leaves)
		})
		if problem != "" {
			rt.Fatal(problem)
		}
	})
}

func endInOneWay(t *testing.T, script []deed, limit, queue int, lifo bool, kinds []int, leaves int) string {
	repeats := resilience.RetryPolicy{MaxAttempts: 3, BaseDelay: time.Millisecond}
	p := policy()
	p.Bulkhead = resilience.BulkheadPolicy{Limit: limit, Queue: queue, LIFO: lifo}
	p.Breaker = &resilience.BreakerPolicy{Window: time.Hour, MinimumCalls: 8, OpenFor: 50 * time.Millisecond, Probes: 2}
	p.Default = resilience.OperationPolicy{Timeout: 100 * time.Millisecond}
	p.Operations = map[string]resilience.OperationPolicy{
		"retried":  {Timeout: 200 * time.Millisecond, AttemptTimeout: 50 * time.Millisecond, Idempotent: true, Retry: &repeats},
		"hedged":   {Timeout: 100 * time.Millisecond, Idempotent: true, Retry: &repeats, Hedge: &resilience.HedgePolicy{Delay: 10 * time.Millisecond, MaxHedges: 2}},
		"detached": {Timeout: 50 * time.Millisecond, Detach: true, Criticality: resilience.Sheddable},
	}
	l := &log{}
	g := mustNew(t, p, resilience.WithListener(l))
	on := []resilience.Caller{g, g.Operation("retried"), g.Operation("hedged"), g.Operation("detached"), g, g.Operation("hedged")}
	var next, running, most atomic.Int64
	call := func(ctx context.Context) (int, error) {
		n := running.Add(1)
		defer running.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		return script[int(next.Add(1))%len(script)].run(ctx)
	}
	ends := make([]atomic.Int32, len(kinds))
	var odd atomic.Value
	var wg sync.WaitGroup
	for i, kind := range kinds {
		ctx, cancel := context.WithCancel(t.Context())
		if leaves > 0 && i%leaves == 0 {
			time.AfterFunc(15*time.Millisecond, cancel)
		}
		var opts []resilience.CallOption[int]
		switch kind {
		case 4:
			opts = append(opts, resilience.Coalesce[int]("k"))
		case 5:
			opts = append(opts, resilience.FallbackValue(3))
		}
		wg.Go(func() {
			defer cancel()
			defer ends[i].Add(1) // also after panic and Goexit
			defer func() { _ = recover() }()
			res, err := resilience.Do(ctx, on[kind], call, opts...)
			known := errors.Is(err, errDown) || errors.Is(err, resilience.ErrRefused) || errors.Is(err, context.DeadlineExceeded) ||
				errors.Is(err, context.Canceled) || errors.Is(err, errIgnored) || errors.As(err, new(judged))
			if (err == nil) != (res.Value != 0) || err != nil && !known {
				odd.Store(fmt.Sprintf("call %d: %+v and %v", i, res, err))
			}
		})
		if i%7 == 6 {
			if err := g.Update(p); err != nil {
				return err.Error()
			}
		}
		time.Sleep(3 * time.Millisecond)
	}
	wg.Wait()
	time.Sleep(time.Second)
	synctest.Wait()
	for i := range ends {
		if n := ends[i].Load(); n != 1 {
			return fmt.Sprintf("call %d ended %d times", i, n)
		}
	}
	if o := odd.Load(); o != nil {
		return o.(string)
	}
	started, ended := len(l.of(resilience.CallStarted)), len(l.of(resilience.CallEnded))
	if started != len(kinds) || ended != len(kinds) {
		return fmt.Sprintf("%d calls, %d reported as started, %d as ended", len(kinds), started, ended)
	}
	attempts, over := len(l.of(resilience.AttemptStarted)), len(l.of(resilience.AttemptEnded))
	if attempts != over || int64(attempts) != next.Load() {
		return fmt.Sprintf("%d attempts ran, %d reported as started, %d as ended", next.Load(), attempts, over)
	}
	if s := g.Snapshot(); s.InFlight != 0 || s.Waiting != 0 || most.Load() > int64(limit) || s.Calls > attempts || s.Budget > 10 {
		return fmt.Sprintf("limit %d, %d ran at once, %d attempts: %+v", limit, most.Load(), attempts, s)
	}
	return ""
}
