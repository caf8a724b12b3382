package resilience

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/afex/hystrix-go/hystrix"
	"github.com/cenkalti/backoff/v4"
	"github.com/cep21/circuit/v4"
	cephystrix "github.com/cep21/circuit/v4/closers/hystrix"
	fs "github.com/failsafe-go/failsafe-go"
	fsbulkhead "github.com/failsafe-go/failsafe-go/bulkhead"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/fallback"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
	"github.com/failsafe-go/failsafe-go/timeout"
	"github.com/slok/goresilience"
	grbulkhead "github.com/slok/goresilience/bulkhead"
	grbreaker "github.com/slok/goresilience/circuitbreaker"
	grretry "github.com/slok/goresilience/retry"
	grtimeout "github.com/slok/goresilience/timeout"
	"github.com/sony/gobreaker/v2"
	"golang.org/x/sync/semaphore"

	ours "github.com/backstay-go/backstay/resilience"
)

func work(context.Context) (int, error) { return 1, nil }

var errDown = errors.New("down")

// contender is one library with the policies that it has.
type contender struct {
	name string
	make func(tb testing.TB) func(ctx context.Context) error
	// allocs is the most allocations that the bar allows; unbounded for others' rows.
	allocs int
}

const unbounded = -1

// happy has everything on: total and attempt timeout, bulkhead, breaker, retry with a
// budget, fallback, as far as the library has them.
var happy = []contender{
	{"context.WithTimeout", func(testing.TB) func(context.Context) error {
		return func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			_, err := work(ctx)
			cancel()
			return err
		}
	}, unbounded},
	{"Backstay", func(tb testing.TB) func(context.Context) error {
		return through(guardWith(tb, nil))
	}, 1},
	{"gobreaker alone", func(testing.TB) func(context.Context) error {
		cb := gobreaker.NewCircuitBreaker[int](gobreaker.Settings{Name: "dep"})
		return func(ctx context.Context) error {
			_, err := cb.Execute(func() (int, error) { return work(ctx) })
			return err
		}
	}, unbounded},
	{"cep21/circuit", func(tb testing.TB) func(context.Context) error { return cep21(1000).do }, unbounded},
	{"failsafe-go", func(testing.TB) func(context.Context) error {
		e := fs.With[int](fallback.NewWithResult(0), timeout.New[int](time.Second), retrypolicy.NewWithDefaults[int](),
			fsbulkhead.New[int](1000), circuitbreaker.NewWithDefaults[int](), timeout.New[int](400*time.Millisecond))
		return failsafely(e)
	}, unbounded},
	{"by hand", byHand, unbounded},
	{"goresilience", func(tb testing.TB) func(context.Context) error {
		stop := make(chan struct{})
		tb.Cleanup(func() { close(stop) })
		r := goresilience.RunnerChain(grtimeout.NewMiddleware(grtimeout.Config{Timeout: time.Second}), grretry.NewMiddleware(grretry.Config{}),
			grbulkhead.NewMiddleware(grbulkhead.Config{Workers: 100, StopC: stop}), grbreaker.NewMiddleware(grbreaker.Config{}),
			grtimeout.NewMiddleware(grtimeout.Config{Timeout: 400 * time.Millisecond}))
		return running(r)
	}, unbounded},
	{"hystrix-go", func(testing.TB) func(context.Context) error {
		return hystrixDo("happy", hystrix.CommandConfig{Timeout: 1000, MaxConcurrentRequests: 1000}, func(context.Context, error) error { return nil })
	}, unbounded},
}

// guardWith is ours with everything on.
func guardWith(tb testing.TB, change func(*ours.Policy), opts ...ours.Option) *ours.Guard {
	tb.Helper()
	p := ours.Policy{
		Name: "dep", Bulkhead: ours.BulkheadPolicy{Limit: 1000, Queue: 100}, Breaker: &ours.BreakerPolicy{SlowCall: 500 * time.Millisecond},
		Default: ours.OperationPolicy{Timeout: time.Second, AttemptTimeout: 400 * time.Millisecond, Idempotent: true, Retry: &ours.RetryPolicy{}},
	}
	if change != nil {
		change(&p)
	}
	g, err := ours.New(p, opts...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = g.Close() })
	return g
}

type cep struct{ *circuit.Circuit }

func cep21(limit int64) cep {
	h := circuit.Manager{DefaultCircuitProperties: []circuit.CommandPropertiesConstructor{(&cephystrix.Factory{}).Configure}}
	return cep{h.MustCreateCircuit("dep", circuit.Config{Execution: circuit.ExecutionConfig{Timeout: time.Second, MaxConcurrentRequests: limit}})}
}

func (c cep) do(ctx context.Context) error {
	return c.Execute(ctx, func(ctx context.Context) error { _, err := work(ctx); return err }, func(context.Context, error) error { return nil })
}

func (c cep) doOrFail(ctx context.Context) error {
	return c.Execute(ctx, func(ctx context.Context) error { _, err := work(ctx); return err }, nil)
}

func failsafely(e fs.Executor[int]) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := e.WithContext(ctx).GetWithExecution(func(e fs.Execution[int]) (int, error) { return work(e.Context()) })
		return err
	}
}

func running(r goresilience.Runner) func(context.Context) error {
	return func(ctx context.Context) error {
		return r.Run(ctx, func(ctx context.Context) error { _, err := work(ctx); return err })
	}
}

func hystrixDo(name string, c hystrix.CommandConfig, stand func(context.Context, error) error) func(context.Context) error {
	hystrix.ConfigureCommand(name, c)
	return func(ctx context.Context) error {
		return hystrix.DoC(ctx, name, func(ctx context.Context) error { _, err := work(ctx); return err }, stand)
	}
}

// byHand glues the same parts together as a service would without a toolkit.
func byHand(testing.TB) func(context.Context) error {
	cb := gobreaker.NewCircuitBreaker[int](gobreaker.Settings{Name: "dep"})
	permits := semaphore.NewWeighted(1000)
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		err := backoff.Retry(func() error {
			if err := permits.Acquire(ctx, 1); err != nil {
				return backoff.Permanent(err)
			}
			defer permits.Release(1)
			_, err := cb.Execute(func() (int, error) {
				ctx, cancel := context.WithTimeout(ctx, 400*time.Millisecond)
				defer cancel()
				return work(ctx)
			})
			return err
		}, backoff.WithContext(backoff.WithMaxRetries(backoff.NewExponentialBackOff(), 2), ctx))
		if err != nil {
			return nil // the fallback
		}
		return nil
	}
}

// open has an open breaker.
var open = []contender{
	{"gobreaker alone", gobreakerOpen, unbounded},
	{"Backstay", func(tb testing.TB) func(context.Context) error {
		g := guardWith(tb, func(p *ours.Policy) {
			p.Breaker.MinimumCalls, p.Breaker.OpenFor, p.Default.Retry = 1, time.Hour, nil
		})
		if _, err := ours.Do(tb.Context(), g, func(context.Context) (int, error) { return 0, errDown }); !errors.Is(err, errDown) {
			tb.Fatal(err)
		}
		return func(ctx context.Context) error { _, err := ours.Do(ctx, g, work); return err }
	}, 0},
	{"cep21/circuit", func(tb testing.TB) func(context.Context) error {
		c := cep21(1000)
		c.OpenCircuit(tb.Context())
		return c.doOrFail
	}, unbounded},
	{"failsafe-go", func(testing.TB) func(context.Context) error {
		cb := circuitbreaker.NewWithDefaults[int]()
		cb.Open()
		return failsafely(fs.With[int](retrypolicy.NewBuilder[int]().AbortOnErrors(circuitbreaker.ErrOpen).Build(), cb))
	}, unbounded},
	{"goresilience", func(tb testing.TB) func(context.Context) error {
		r := grbreaker.New(grbreaker.Config{MinimumRequestToOpen: 1, ErrorPercentThresholdToOpen: 1, WaitDurationInOpenState: time.Hour})
		for range 3 {
			_ = r.Run(tb.Context(), func(context.Context) error { return errDown })
		}
		return running(r)
	}, unbounded},
}

func gobreakerOpen(tb testing.TB) func(context.Context) error {
	cb := gobreaker.NewCircuitBreaker[int](gobreaker.Settings{Name: "dep", Timeout: time.Hour, ReadyToTrip: func(gobreaker.Counts) bool { return true }})
	if _, err := cb.Execute(func() (int, error) { return 0, errDown }); err == nil {
		tb.Fatal("did not fail")
	}
	return func(ctx context.Context) error {
		_, err := cb.Execute(func() (int, error) { return work(ctx) })
		return err
	}
}

// full has all permits taken, by a call that hangs where the library has no other way.
var full = []contender{
	{"gobreaker, open", gobreakerOpen, unbounded},
	{"Backstay", func(tb testing.TB) func(context.Context) error {
		g := guardWith(tb, func(p *ours.Policy) {
			p.Bulkhead = ours.BulkheadPolicy{Limit: 1}
			p.Default.Timeout, p.Default.AttemptTimeout = time.Hour, time.Hour
		})
		occupy(tb, func(hang func()) {
			_, _ = ours.Do(tb.Context(), g, func(context.Context) (int, error) { hang(); return 0, nil })
		})
		return func(ctx context.Context) error { _, err := ours.Do(ctx, g, work); return err }
	}, 0},
	{"cep21/circuit", func(tb testing.TB) func(context.Context) error {
		c := cep21(1)
		occupy(tb, func(hang func()) {
			_ = c.Execute(tb.Context(), func(context.Context) error { hang(); return nil }, nil)
		})
		return c.doOrFail
	}, unbounded},
	{"failsafe-go", func(tb testing.TB) func(context.Context) error {
		b := fsbulkhead.New[int](1)
		if !b.TryAcquirePermit() {
			tb.Fatal("no permit")
		}
		return failsafely(fs.With[int](retrypolicy.NewBuilder[int]().AbortOnErrors(fsbulkhead.ErrFull).Build(), b))
	}, unbounded},
	{"hystrix-go", func(tb testing.TB) func(context.Context) error {
		do := hystrixDo("full", hystrix.CommandConfig{Timeout: 3_600_000, MaxConcurrentRequests: 1, RequestVolumeThreshold: 1 << 30}, nil)
		occupy(tb, func(hang func()) {
			_ = hystrix.Do("full", func() error { hang(); return nil }, nil)
		})
		return do
	}, unbounded},
}

// occupy keeps one call going until the end.
func occupy(tb testing.TB, call func(hang func())) {
	started, release, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		call(func() { close(started); <-release })
	}()
	<-started
	tb.Cleanup(func() { close(release); <-done })
}

// through calls a guard with a fallback.
func through(g *ours.Guard) func(context.Context) error {
	stand := ours.FallbackValue(0)
	return func(ctx context.Context) error { _, err := ours.Do(ctx, g, work, stand); return err }
}

// selects is a call that looks whether its context is done, as one that waits for the
// network does.
func selects(ctx context.Context) (int, error) {
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	default:
		return 1, nil
	}
}

var selecting = []contender{
	{"context.WithTimeout", func(testing.TB) func(context.Context) error {
		return func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			_, err := selects(ctx)
			cancel()
			return err
		}
	}, unbounded},
	{"Backstay", func(tb testing.TB) func(context.Context) error {
		g := guardWith(tb, nil)
		return func(ctx context.Context) error { _, err := ours.Do(ctx, g, selects); return err }
	}, 4},
}

var hedging = []contender{
	{"context.WithTimeout and a goroutine", func(testing.TB) func(context.Context) error {
		return func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			done := make(chan error, 1)
			go func() { _, err := work(ctx); done <- err }()
			return <-done
		}
	}, unbounded},
	{"Backstay", func(tb testing.TB) func(context.Context) error {
		return through(guardWith(tb, func(p *ours.Policy) { p.Default.Hedge = &ours.HedgePolicy{Delay: 50 * time.Millisecond} }))
	}, 4},
}
