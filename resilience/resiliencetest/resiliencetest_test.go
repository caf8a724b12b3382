package resiliencetest_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/resilience"
	"github.com/backstay-go/backstay/resilience/resiliencetest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errDown = errors.New("down")

func guard(t *testing.T, l *resiliencetest.Log) *resilience.Guard {
	t.Helper()
	g, err := resilience.New(resilience.Policy{
		Name:     "plans",
		Bulkhead: resilience.BulkheadPolicy{Limit: 2},
		Breaker:  &resilience.BreakerPolicy{MinimumCalls: 3, Jitter: -1, Probes: 1},
		Default: resilience.OperationPolicy{
			Timeout: time.Second, AttemptTimeout: 300 * time.Millisecond, Idempotent: true,
			Retry: &resilience.RetryPolicy{BaseDelay: time.Millisecond, MaxDelay: time.Millisecond},
		},
	}, resilience.WithListener(l))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

// TestScript goes through a whole story as a user's test would tell it.
func TestScript(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := new(resiliencetest.Log)
		g := guard(t, l)
		dep := resiliencetest.NewDependency(
			resiliencetest.Fail[string](errDown).Times(2),
			resiliencetest.Answer("basic").After(20*time.Millisecond),
			resiliencetest.Hang[string]().Times(3),
			resiliencetest.Answer("plus"),
		)
		res, err := resilience.Do(t.Context(), g, dep.Call)
		if err != nil || res.Value != "basic" || res.Attempts != 3 {
			t.Fatalf("%+v, %v", res, err)
		}
		dep.WantCalls(t, 3)
		calls := dep.Calls()
		if last := calls[2]; last.End.Sub(last.Start) != 20*time.Millisecond || last.Err != nil || last.Deadline.Sub(last.Start) != 300*time.Millisecond || calls[0].Err != errDown {
			t.Errorf("%+v", calls)
		}
		// The third failure opens the circuit; the retry is refused, the fallback stands in.
		res, err = resilience.Do(t.Context(), g, dep.Call, resilience.FallbackValue("unknown"))
		if err != nil {
			t.Fatal(err)
		}
		resiliencetest.WantSource(t, res, resilience.Static)
		l.WantRefused(t, resilience.ErrOpen, 1)
		l.WantRefused(t, resilience.ErrRefused, 1)
		dep.WantCalls(t, 4)
		dep.WantAtMostAtOnce(t, 1)

		time.Sleep(5 * time.Second)
		synctest.Wait()
		if _, err := resilience.Do(t.Context(), g, dep.Call); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v; want the hanging probe's deadline", err)
		}
		l.WantBreaker(t, resilience.BreakerOpen, resilience.BreakerHalfOpen, resilience.BreakerOpen)
		resiliencetest.WantIdle(t, g)
		l.Reset()
		if n := len(l.Events()); n != 0 {
			t.Errorf("%d events after Reset", n)
		}
	})
}

func TestStepsThatDoNotReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dep := resiliencetest.NewDependency(
			resiliencetest.Panic[int]("bad"),
			resiliencetest.Hang[int]().Stubborn(),
		)
		func() {
			defer func() {
				if p := recover(); p != "bad" {
					t.Errorf("recovered %v", p)
				}
			}()
			_, _ = dep.Call(t.Context())
		}()
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := dep.Call(ctx); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		cancel()
		synctest.Wait()
		if now, most := dep.Running(); now != 1 || most != 1 {
			t.Errorf("%d running, %d at most; want the stubborn one", now, most)
		}
		dep.Release()
		dep.Release()
		wg.Wait()
		dep.Then(resiliencetest.Answer(7))
		if _, err := dep.Call(t.Context()); err != nil { // the hang was to be used once, and is over
			t.Error(err)
		}
		if v, err := dep.Call(t.Context()); v != 7 || err != nil {
			t.Error(v, err)
		}
		if _, err := new(resiliencetest.Dependency[int]).Call(t.Context()); !errors.Is(err, resiliencetest.ErrScript) {
			t.Error(err)
		}
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := resiliencetest.NewDependency(resiliencetest.Answer(1).After(time.Minute)).Call(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

// failures counts what a test would have been failed for.
type failures struct {
	testing.TB
	n int
}

func (f *failures) Helper()               {}
func (f *failures) Errorf(string, ...any) { f.n++ }

// TestAssertionsFail: an assertion that can't fail asserts nothing.
func TestAssertionsFail(t *testing.T) {
	l := new(resiliencetest.Log)
	g := guard(t, l)
	dep := resiliencetest.NewDependency(resiliencetest.Answer(1))
	f := &failures{TB: t}
	res, err := resilience.Do(t.Context(), g, func(ctx context.Context) (int, error) {
		resiliencetest.WantIdle(f, g)
		return dep.Call(ctx)
	})
	if err != nil {
		t.Fatal(err)
	}
	dep.WantCalls(f, 2)
	dep.WantAtMostAtOnce(f, 0)
	l.WantRefused(f, resilience.ErrOpen, 1)
	l.WantBreaker(f, resilience.BreakerOpen)
	resiliencetest.WantSource(f, res, resilience.Stale)
	if f.n != 6 {
		t.Errorf("%d assertions failed; want all 6", f.n)
	}
}
