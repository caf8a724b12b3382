package resilience_test

import (
	"context"
	"errors"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

// spending is a policy whose calls are tried up to 10 times without a pause.
func spending(b *resilience.BudgetPolicy) resilience.Policy {
	p := policy()
	p.Budget = b
	p.Default = resilience.OperationPolicy{Timeout: time.Minute, Idempotent: true, Retry: &resilience.RetryPolicy{MaxAttempts: 10, BaseDelay: -1}}
	return p
}

// repeats is how many repeats a call makes that fails.
func repeats(t *testing.T, on resilience.Caller) int {
	t.Helper()
	n := -1
	if _, err := resilience.Do(t.Context(), on, func(context.Context) (int, error) { n++; return 0, errDown }); !errors.Is(err, errDown) {
		t.Errorf("%v; want it to fail", err)
	}
	return n
}

// TestBudgetGrowsWithTime: an idle guard can repeat again after a while.
func TestBudgetGrowsWithTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := mustNew(t, spending(&resilience.BudgetPolicy{Ratio: -1, Burst: 3, PerSecond: 0.5}))
		for i, c := range []struct {
			wait time.Duration
			want int
		}{{0, 3}, {time.Second, 0}, {time.Second, 1}, {3 * time.Second, 1}, {time.Second, 1}, {time.Hour, 3}, {10 * 365 * 24 * time.Hour, 3}} {
			time.Sleep(c.wait)
			if got := repeats(t, g); got != c.want {
				t.Errorf("call %d: %d repeats; want %d", i+1, got, c.want)
			}
		}
		// What one rate has earned stays when another comes.
		time.Sleep(4 * time.Second)
		if err := g.Update(spending(&resilience.BudgetPolicy{Ratio: -1, Burst: 3})); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if got := g.Snapshot().Budget; got != 2 {
			t.Errorf("%v tokens; want the 2 of the time before the update", got)
		}
	})
}

// TestOneBudgetOverSeveralGuards: what one guard has spent is spent for all, and together
// they keep the bound.
func TestOneBudgetOverSeveralGuards(t *testing.T) {
	b, err := resilience.NewBudget(resilience.BudgetPolicy{Ratio: 0.1, Burst: 5})
	if err != nil {
		t.Fatal(err)
	}
	var guards []*resilience.Guard
	for range 3 {
		guards = append(guards, mustNew(t, spending(nil), resilience.WithBudget(b)))
	}
	if a, b := repeats(t, guards[0]), repeats(t, guards[1]); a != 5 || b != 0 {
		t.Errorf("%d and %d repeats; want 5 of one guard and none of the next", a, b)
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	calls, attempts := 2, 7
	for _, g := range guards {
		for range 100 {
			all.Go(func() {
				n := 1 + repeats(t, g)
				mu.Lock()
				defer mu.Unlock()
				calls, attempts = calls+1, attempts+n
			})
		}
	}
	all.Wait()
	if most := int(1.1*float64(calls)) + 5; attempts > most || attempts < calls+20 {
		t.Errorf("%d calls made %d attempts; want at most %d, and some repeats", calls, attempts, most)
	}
	if s := guards[2].Snapshot(); s.Budget != b.Tokens() || math.Abs(s.Amplification-1.1) > 1e-9 {
		t.Errorf("%+v; the budget has %v", s, b.Tokens())
	}
	if err := b.Update(resilience.BudgetPolicy{Burst: -1}); err != nil {
		t.Fatal(err)
	}
	if got := repeats(t, guards[0]); got != 0 {
		t.Errorf("%d repeats after the budget was closed", got)
	}
	// A guard has one budget.
	own := spending(&resilience.BudgetPolicy{})
	if _, err := resilience.New(own, resilience.WithBudget(b)); !errors.Is(err, resilience.ErrPolicy) {
		t.Errorf("a budget of its own as well: %v", err)
	}
	if err := guards[0].Update(own); !errors.Is(err, resilience.ErrPolicy) {
		t.Errorf("an update that brings one: %v", err)
	}
	if _, err := resilience.NewBudget(resilience.BudgetPolicy{Ratio: 2}); !errors.Is(err, resilience.ErrPolicy) {
		t.Error(err)
	}
	if _, err := resilience.New(spending(nil), resilience.WithBudget(&resilience.Budget{})); !errors.Is(err, resilience.ErrPolicy) {
		t.Error(err)
	}
}

// TestRepeatsCanBeSwitchedOff by each way there is.
func TestRepeatsCanBeSwitchedOff(t *testing.T) {
	hedging := func() resilience.Policy {
		p := spending(nil)
		p.Default.Hedge = &resilience.HedgePolicy{Delay: time.Millisecond, MaxHedges: 3}
		return p
	}
	for name, off := range map[string]func(*resilience.Policy, *resilience.Guard) error{
		"an empty budget": func(p *resilience.Policy, g *resilience.Guard) error {
			p.Budget = &resilience.BudgetPolicy{Burst: -1}
			return g.Update(*p)
		},
		"one attempt and no hedge": func(p *resilience.Policy, g *resilience.Guard) error {
			p.Default.Retry.MaxAttempts, p.Default.Hedge.MaxHedges = 1, -1
			return g.Update(*p)
		},
		"the operator's switch": func(p *resilience.Policy, g *resilience.Guard) error {
			if err := g.ForbidRepeats(true); err != nil {
				return err
			}
			return g.Update(*p) // which does not end it
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := hedging()
				g := mustNew(t, p)
				count := func() int {
					var mu sync.Mutex
					n := 0
					_, _ = resilience.Do(t.Context(), g, func(ctx context.Context) (int, error) {
						mu.Lock()
						n++
						mu.Unlock()
						_, _ = takes(10 * time.Millisecond)(ctx)
						return 0, errDown
					})
					synctest.Wait()
					return n
				}
				if n := count(); n < 2 {
					t.Fatalf("%d attempts before", n)
				}
				if err := off(&p, g); err != nil {
					t.Fatal(err)
				}
				if n := count(); n != 1 {
					t.Errorf("%d attempts; want 1", n)
				}
				if w := p.Worst(); name != "the operator's switch" && (w.Operations[0].Attempts != 1 || p.Amplification() != 1) {
					t.Errorf("the worst case is %+v", w)
				}
			})
		})
	}
}
