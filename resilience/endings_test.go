package resilience_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

// ending is one way in which a call can end, and what follows from it whatever the
// error looks like and however the call is made.
type ending struct {
	name string
	// call is what the dependency does; dress makes its error look as the shape wants.
	call func(ctx context.Context, dress func(error) error) (int, error)
	// patience is the caller's deadline; leaves is when it cancels. Zero: never.
	patience, leaves time.Duration
	attempt          time.Duration // the attempt timeout; zero: none
	// failures are what the breaker counts for each attempt, and repeated whether a
	// policy with retries tries again.
	failure, repeated bool
	fallback          bool // stands in
	unwinds           bool // as a panic or Goexit
	measured          bool // by the quantile of hedges: it took at least so long
}

var (
	errInner    = errors.New("inner")
	errOwnPanic = errors.New("the dependency panicked")
)

const endingTimeout = time.Second

// hangs waits for its context.
func hangs(ctx context.Context, dress func(error) error) (int, error) {
	<-ctx.Done()
	return 0, dress(ctx.Err())
}

func fails(err error) func(context.Context, func(error) error) (int, error) {
	return func(_ context.Context, dress func(error) error) (int, error) { return 0, dress(err) }
}

// endings are all of them.
func endings(inner *resilience.Guard) []ending {
	return []ending{
		{name: "an error", call: fails(errDown), failure: true, repeated: true, fallback: true},
		{name: "the caller cancelled", call: hangs, leaves: 100 * time.Millisecond},
		{name: "the caller's deadline", call: hangs, patience: 100 * time.Millisecond, fallback: true},
		{name: "the attempt's timeout", call: hangs, attempt: 50 * time.Millisecond, failure: true, repeated: true, fallback: true, measured: true},
		{name: "the total timeout", call: hangs, failure: true, fallback: true, measured: true},
		{name: "the dependency's own context.Canceled", call: fails(context.Canceled), failure: true, repeated: true, fallback: true},
		{name: "the dependency's own context.DeadlineExceeded", call: fails(context.DeadlineExceeded), failure: true, repeated: true, fallback: true},
		{name: "an inner guard's refusal", failure: true, repeated: true, fallback: true,
			call: func(ctx context.Context, dress func(error) error) (int, error) {
				_, err := resilience.Do(ctx, inner, answer)
				return 0, dress(err)
			}},
		{name: "a value that does not count", call: func(ctx context.Context, _ func(error) error) (int, error) {
			resilience.DoNotCount(ctx)
			return 1, nil
		}},
		{name: "a panic", call: func(context.Context, func(error) error) (int, error) { panic(errOwnPanic) }, failure: true, unwinds: true},
		{name: "a Goexit", call: func(context.Context, func(error) error) (int, error) { runtime.Goexit(); return 0, nil }, failure: true, unwinds: true},
	}
}

// shapes are how an error can show.
var shapes = map[string]func(error) error{
	"alone":   func(err error) error { return err },
	"wrapped": func(err error) error { return fmt.Errorf("read: %w", err) },
	"joined":  func(err error) error { return errors.Join(errInner, err) },
}

// modes are how a call can be made. attempts is how many may be made at most.
var modes = map[string]func(p *resilience.Policy) (opts []resilience.CallOption[int], attempts int){
	"plain": func(*resilience.Policy) ([]resilience.CallOption[int], int) { return nil, 1 },
	"retry": func(p *resilience.Policy) ([]resilience.CallOption[int], int) {
		p.Default.Retry = &resilience.RetryPolicy{MaxAttempts: 2, BaseDelay: time.Millisecond, MaxDelay: time.Millisecond}
		return nil, 2
	},
	"hedge": func(p *resilience.Policy) ([]resilience.CallOption[int], int) {
		p.Default.Hedge = &resilience.HedgePolicy{Quantile: 0.95} // nothing is measured, so that none starts
		return nil, 1
	},
	"coalesce": func(*resilience.Policy) ([]resilience.CallOption[int], int) {
		return []resilience.CallOption[int]{resilience.Coalesce[int]("k")}, 1
	},
	"detach": func(p *resilience.Policy) ([]resilience.CallOption[int], int) {
		p.Default.Detach = true
		return nil, 1
	},
	"hold":   func(*resilience.Policy) ([]resilience.CallOption[int], int) { return nil, 1 },
	"shadow": func(*resilience.Policy) ([]resilience.CallOption[int], int) { return nil, 1 },
}

// TestEndings: who ended the call decides the verdict, what the breaker counts, whether
// the call is repeated and whether a fallback stands in; neither the error's shape nor
// the way in which the call is made does.
func TestEndings(t *testing.T) {
	refusing := policy()
	refusing.Name = "inner"
	refusing.Breaker = &resilience.BreakerPolicy{Mode: resilience.BreakerForcedOpen}
	inner := mustNew(t, refusing)
	for _, e := range endings(inner) {
		for shape, dress := range shapes {
			for mode, change := range modes {
				t.Run(e.name+"/"+shape+"/"+mode, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { e.try(t, mode, change, dress) })
				})
			}
		}
	}
}

// try makes one call and looks at everything that follows.
func (e ending) try(t *testing.T, mode string, change func(*resilience.Policy) ([]resilience.CallOption[int], int), dress func(error) error) {
	p := policy()
	p.Default = resilience.OperationPolicy{Timeout: endingTimeout, AttemptTimeout: e.attempt, Idempotent: true}
	p.Breaker = &resilience.BreakerPolicy{MinimumCalls: 100}
	opts, most := change(&p)
	var verdicts []resilience.Verdict
	var mu sync.Mutex
	g := mustNew(t, p, resilience.WithListener(listen(func(_ context.Context, ev resilience.Event) context.Context {
		if ev.Kind == resilience.AttemptEnded {
			mu.Lock()
			defer mu.Unlock()
			verdicts = append(verdicts, ev.Verdict)
		}
		return nil
	})))
	var shadow *resilience.Shadow
	if mode == "shadow" {
		var err error
		if shadow, err = g.Shadow(p); err != nil {
			t.Fatal(err)
		}
	}
	ctx := t.Context()
	if e.patience > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, e.patience)
		defer cancel()
	}
	if e.leaves > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		time.AfterFunc(e.leaves, cancel)
	}
	var res resilience.Result[int]
	var err error
	returned := false
	calls := 0
	var wg sync.WaitGroup
	wg.Go(func() {
		defer func() {
			if p := recover(); p != nil && !isOwnPanic(p) {
				t.Errorf("panic: %v", p)
			}
		}()
		res, err = resilience.Do(ctx, g, func(ctx context.Context) (int, error) {
			calls++
			if mode == "hold" {
				defer resilience.Hold(ctx)(nil)
			}
			return e.call(ctx, dress)
		}, append(opts, resilience.FallbackValue(7))...)
		returned = true
	})
	wg.Wait()
	synctest.Wait()

	want := 1
	if e.repeated {
		want = most
	}
	if calls != want {
		t.Errorf("%d attempts; want %d", calls, want)
	}
	if e.unwinds != !returned {
		t.Errorf("returned: %v", returned)
	}
	if got := err == nil && res.Source == resilience.Static; returned && got != e.fallback {
		t.Errorf("a fallback stood in: %v (%+v, %v); want %v", got, res, err, e.fallback)
	}
	if returned && res.Attempts != want {
		t.Errorf("Attempts is %d; want %d", res.Attempts, want)
	}
	failures := 0
	if e.failure {
		failures = want
	}
	if s := g.Snapshot(); s.Failures != failures || s.Calls != failures || s.InFlight != 0 {
		t.Errorf("the breaker counted %d failures of %d calls, %d in flight; want %d", s.Failures, s.Calls, s.InFlight, failures)
	}
	outcome := resilience.Ignored
	if e.failure {
		outcome = resilience.Failure
	}
	for _, v := range verdicts {
		if v.Outcome != outcome {
			t.Errorf("outcome %v; want %v", v.Outcome, outcome)
		}
	}
	measured := int64(0)
	if mode == "hedge" && e.measured {
		measured = int64(want)
	}
	if n := g.Measured(); n != measured {
		t.Errorf("%d attempts were measured; want %d", n, measured)
	}
	if shadow != nil {
		if r := shadow.Report(); r.Differences() != 0 || r.Attempts != int64(want) {
			t.Errorf("a shadow of the same policy sees a difference: %+v", r)
		}
	}
}

func isOwnPanic(p any) bool {
	err, ok := p.(error)
	return ok && errors.Is(err, errOwnPanic)
}
