package resilience_test

import (
	"context"
	"testing"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

// full is a policy with everything on that a happy call meets.
func full() resilience.Policy {
	return resilience.Policy{
		Name:     "dep",
		Bulkhead: resilience.BulkheadPolicy{Limit: 1000, Queue: 100},
		Breaker:  &resilience.BreakerPolicy{SlowCall: 500 * time.Millisecond},
		Default: resilience.OperationPolicy{
			Timeout: time.Second, AttemptTimeout: 400 * time.Millisecond, Idempotent: true,
			Retry: &resilience.RetryPolicy{},
		},
	}
}

func zero(context.Context, error) (int, error) { return 0, nil }

// BenchmarkDo has a benchmark for each way out, and one for what the full stack is
// measured against.
func BenchmarkDo(b *testing.B) {
	both := func(b *testing.B, f func()) {
		b.Run("serial", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f()
			}
		})
		b.Run("parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					f()
				}
			})
		})
	}
	ctx := b.Context()
	b.Run("context.WithTimeout", func(b *testing.B) {
		both(b, func() {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			if _, err := answer(ctx); err != nil {
				b.Error(err)
			}
			cancel()
		})
	})
	b.Run("success", func(b *testing.B) {
		g := mustNew(b, full())
		both(b, func() {
			if _, err := resilience.Do(ctx, g, answer, resilience.Fallback(zero)); err != nil {
				b.Error(err)
			}
		})
	})
	b.Run("success, heard", func(b *testing.B) {
		g := mustNew(b, full(), resilience.WithListener(nobody{}))
		both(b, func() {
			if _, err := resilience.Do(ctx, g, answer, resilience.Fallback(zero)); err != nil {
				b.Error(err)
			}
		})
	})
	b.Run("failure", func(b *testing.B) {
		p := full()
		p.Breaker.Mode = resilience.BreakerForcedClosed
		p.Default.Retry = nil
		g := mustNew(b, p)
		both(b, func() {
			if _, err := resilience.Do(ctx, g, fail); err == nil {
				b.Error("no error")
			}
		})
	})
	b.Run("open", func(b *testing.B) {
		g := openGuard(b)
		both(b, func() {
			if _, err := resilience.Do(ctx, g, answer); err == nil {
				b.Error("no error")
			}
		})
	})
	b.Run("full", func(b *testing.B) {
		g := fullGuard(b)
		both(b, func() {
			if _, err := resilience.Do(ctx, g, answer); err == nil {
				b.Error("no error")
			}
		})
	})
}

type nobody struct{}

func (nobody) Handle(context.Context, resilience.Event) context.Context { return nil }

// openGuard's circuit is open.
func openGuard(tb testing.TB) *resilience.Guard {
	p := full()
	p.Breaker.OpenFor = time.Hour
	p.Breaker.MinimumCalls = 1
	p.Default.Retry = nil
	g := mustNew(tb, p)
	if _, err := resilience.Do(tb.Context(), g, fail); err == nil {
		tb.Fatal("no error")
	}
	return g
}

// fullGuard's one permit is taken.
func fullGuard(tb testing.TB) *resilience.Guard {
	p := full()
	p.Bulkhead = resilience.BulkheadPolicy{Limit: 1}
	g := mustNew(tb, p)
	var release func(error)
	if _, err := resilience.Do(tb.Context(), g, func(ctx context.Context) (int, error) {
		release = resilience.Hold(ctx)
		return 0, nil
	}); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { release(nil) })
	return g
}
