package resilience

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cep21/circuit/v4"
	"github.com/cep21/circuit/v4/closers/hystrix"
	fs "github.com/failsafe-go/failsafe-go"
	fsbulkhead "github.com/failsafe-go/failsafe-go/bulkhead"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/fallback"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
	"github.com/failsafe-go/failsafe-go/timeout"
	"github.com/sony/gobreaker/v2"

	ours "github.com/backstay-go/backstay/resilience"
)

func work(context.Context) (int, error) { return 1, nil }

var errDown = errors.New("down")

// contender is one library with the policies that it has, made for a benchmark.
type contender struct {
	name string
	make func(b *testing.B) func(ctx context.Context) error
}

// happy has everything on: total and attempt timeout, bulkhead, breaker, retry with a
// budget, fallback, as far as the library has them.
var happy = []contender{
	{"context.WithTimeout", func(*testing.B) func(context.Context) error {
		return func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			_, err := work(ctx)
			cancel()
			return err
		}
	}},
	{"backstay", func(b *testing.B) func(context.Context) error {
		g := ourGuard(b, nil)
		stand := ours.FallbackValue(0)
		return func(ctx context.Context) error { _, err := ours.Do(ctx, g, work, stand); return err }
	}},
	{"gobreaker alone", func(*testing.B) func(context.Context) error {
		cb := gobreaker.NewCircuitBreaker[int](gobreaker.Settings{Name: "dep"})
		return func(ctx context.Context) error {
			_, err := cb.Execute(func() (int, error) { return work(ctx) })
			return err
		}
	}},
	{"cep21-circuit", func(*testing.B) func(context.Context) error {
		h := circuit.Manager{DefaultCircuitProperties: []circuit.CommandPropertiesConstructor{(&hystrix.Factory{}).Configure}}
		c := h.MustCreateCircuit("dep", circuit.Config{Execution: circuit.ExecutionConfig{Timeout: time.Second, MaxConcurrentRequests: 1000}})
		return func(ctx context.Context) error {
			return c.Execute(ctx, func(ctx context.Context) error { _, err := work(ctx); return err }, func(context.Context, error) error { return nil })
		}
	}},
	{"failsafe-go", func(*testing.B) func(context.Context) error {
		e := fs.With[int](fallback.NewWithResult(0), timeout.New[int](time.Second), retrypolicy.NewWithDefaults[int](),
			fsbulkhead.New[int](1000), circuitbreaker.NewWithDefaults[int](), timeout.New[int](400*time.Millisecond))
		return func(ctx context.Context) error {
			_, err := e.WithContext(ctx).GetWithExecution(func(e fs.Execution[int]) (int, error) { return work(e.Context()) })
			return err
		}
	}},
}

// ourGuard is ours with everything on.
func ourGuard(b *testing.B, change func(*ours.Policy)) *ours.Guard {
	b.Helper()
	p := ours.Policy{
		Name: "dep", Bulkhead: ours.BulkheadPolicy{Limit: 1000, Queue: 100}, Breaker: &ours.BreakerPolicy{SlowCall: 500 * time.Millisecond},
		Default: ours.OperationPolicy{Timeout: time.Second, AttemptTimeout: 400 * time.Millisecond, Idempotent: true, Retry: &ours.RetryPolicy{}},
	}
	if change != nil {
		change(&p)
	}
	g, err := ours.New(p)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = g.Close() })
	return g
}

// refusing has an open breaker.
var refusing = []contender{
	{"backstay", func(b *testing.B) func(context.Context) error {
		g := ourGuard(b, func(p *ours.Policy) { p.Breaker.Mode = ours.BreakerForcedOpen })
		return func(ctx context.Context) error { _, err := ours.Do(ctx, g, work); return err }
	}},
	{"gobreaker alone", func(b *testing.B) func(context.Context) error {
		cb := gobreaker.NewCircuitBreaker[int](gobreaker.Settings{Name: "dep", Timeout: time.Hour, ReadyToTrip: func(gobreaker.Counts) bool { return true }})
		if _, err := cb.Execute(func() (int, error) { return 0, errDown }); err == nil {
			b.Fatal("did not fail")
		}
		return func(ctx context.Context) error {
			_, err := cb.Execute(func() (int, error) { return work(ctx) })
			return err
		}
	}},
	{"failsafe-go", func(*testing.B) func(context.Context) error {
		cb := circuitbreaker.NewWithDefaults[int]()
		cb.Open()
		e := fs.With[int](retrypolicy.NewBuilder[int]().AbortOnErrors(circuitbreaker.ErrOpen).Build(), cb)
		return func(ctx context.Context) error {
			_, err := e.WithContext(ctx).GetWithExecution(func(e fs.Execution[int]) (int, error) { return work(e.Context()) })
			return err
		}
	}},
}

func BenchmarkHappy(b *testing.B)    { compare(b, happy, false) }
func BenchmarkRefusing(b *testing.B) { compare(b, refusing, true) }

func compare(b *testing.B, contenders []contender, refused bool) {
	ctx := context.Background()
	for _, c := range contenders {
		call := c.make(b)
		if err := call(ctx); (err != nil) != refused {
			b.Fatalf("%s: %v", c.name, err)
		}
		b.Run(c.name+"/serial", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = call(ctx)
			}
		})
		b.Run(c.name+"/parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					_ = call(ctx)
				}
			})
		})
	}
}
