package resilience_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

// TestWhatMustNotBeRemembered holds DoNotRemember on each path that a value can take.
func TestWhatMustNotBeRemembered(t *testing.T) {
	for name, change := range map[string]func(*resilience.OperationPolicy) []resilience.CallOption[int]{
		"on the caller's goroutine": func(*resilience.OperationPolicy) []resilience.CallOption[int] { return nil },
		"detached":                  func(o *resilience.OperationPolicy) []resilience.CallOption[int] { o.Detach = true; return nil },
		"hedged": func(o *resilience.OperationPolicy) []resilience.CallOption[int] {
			o.Idempotent, o.Hedge = true, &resilience.HedgePolicy{Delay: time.Second}
			return nil
		},
		"coalesced": func(*resilience.OperationPolicy) []resilience.CallOption[int] {
			return []resilience.CallOption[int]{resilience.Coalesce[int]("k")}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := resilience.Policy{Name: "dep", Bulkhead: resilience.BulkheadPolicy{Limit: 2}, Default: resilience.OperationPolicy{
					Timeout: time.Minute, Stale: &resilience.StalePolicy{MaxAge: time.Hour},
				}}
				opts := change(&p.Default)
				g, err := resilience.New(p)
				if err != nil {
					t.Fatal(err)
				}
				defer g.Close()
				last := resilience.NewLastGood[int](1)
				opts = append(opts, last.For("k"))
				down := errors.New("down")
				call := func(value int, forget bool) (resilience.Result[int], error) {
					return resilience.Do(t.Context(), g, func(ctx context.Context) (int, error) {
						if forget {
							resilience.DoNotRemember(ctx)
						}
						if value == 0 {
							return 0, down
						}
						return value, nil
					}, opts...)
				}
				for _, step := range []struct {
					value  int
					forget bool
					want   int // what stands in after it; 0: nothing
				}{{1, false, 1}, {2, true, 0}, {3, false, 3}} {
					if _, err := call(step.value, step.forget); err != nil {
						t.Fatal(err)
					}
					res, err := call(0, false)
					if res.Value != step.want || (step.want == 0) != errors.Is(err, down) {
						t.Errorf("after %+v: %+v, %v", step, res, err)
					}
				}
			})
		})
	}
	resilience.DoNotRemember(t.Context()) // outside a call: nothing
}
