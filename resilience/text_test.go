package resilience_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

// TestRefusalsInWords: what a person who knows nothing of guards reads.
func TestRefusalsInWords(t *testing.T) {
	hang := func(t *testing.T, g *resilience.Guard) { // takes the only permit for an hour
		go func() {
			_, _ = resilience.Do(t.Context(), g, func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, ctx.Err() })
		}()
		synctest.Wait()
	}
	for name, c := range map[string]struct {
		set     func(*resilience.Policy)
		prepare func(*testing.T, *resilience.Guard)
		want    string
	}{
		"open": {
			prepare: trip,
			want:    "resilience: circuit open: dep/default: too many calls failed or were slow; try again after 00:00:05.000",
		},
		"half-open": {
			prepare: func(t *testing.T, g *resilience.Guard) {
				trip(t, g)
				time.Sleep(5 * time.Second)
				synctest.Wait() // until the circuit has moved on
				hang(t, g)
			},
			want: "resilience: circuit open: dep/default: it is half-open and being probed; try again soon",
		},
		"forced open": {
			set:  func(p *resilience.Policy) { p.Breaker.Mode = resilience.BreakerForcedOpen },
			want: "resilience: circuit open: dep/default: the breaker is forced open, by breaker.mode or Force; calls go on once that is taken back",
		},
		"full": {
			prepare: hang,
			want:    "resilience: bulkhead full: dep/default: all permits are taken, and no more calls may wait; back off",
		},
		"waited": {
			set:     func(p *resilience.Policy) { p.Bulkhead.Queue, p.Bulkhead.MaxWait = 1, time.Millisecond },
			prepare: hang,
			want:    "resilience: bulkhead full: dep/default: no permit came free in time; back off",
		},
		"rate limited": {
			set: func(p *resilience.Policy) { p.RateLimit = &resilience.RateLimitPolicy{PerSecond: 1} },
			prepare: func(t *testing.T, g *resilience.Guard) {
				if _, err := resilience.Do(t.Context(), g, answer); err != nil {
					t.Fatal(err)
				}
			},
			want: "resilience: rate limited: dep/default: the rate limit has no token left; back off",
		},
		"closed": {
			prepare: func(t *testing.T, g *resilience.Guard) {
				if err := g.Close(); err != nil {
					t.Fatal(err)
				}
			},
			want: "resilience: guard closed: dep/default: the guard was closed; make a new one",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := breaking()
				p.Name, p.Bulkhead.Limit, p.Bulkhead.Queue, p.Default.Timeout = "dep", 1, 0, time.Hour
				if c.set != nil {
					c.set(&p)
				}
				g := mustNew(t, p)
				if c.prepare != nil {
					c.prepare(t, g)
				}
				_, err := resilience.Do(t.Context(), g, answer)
				if err == nil || strings.ReplaceAll(err.Error(), time.Unix(946684800, 0).Add(5*time.Second).Format("15:04:05.000"), "00:00:05.000") != c.want {
					t.Errorf("have %v\nwant %s", err, c.want)
				}
			})
		})
	}
}

// TestCallErrorsInWords: how many attempts there were, why no more, and every error.
func TestCallErrorsInWords(t *testing.T) {
	down := errors.New("connection refused")
	for _, c := range []struct {
		err  resilience.CallError
		want string
	}{
		{resilience.CallError{Gave: "out of time", Errs: []error{context.DeadlineExceeded}},
			"call to catalog/plan failed before its first attempt (out of time): context deadline exceeded"},
		{resilience.CallError{Attempts: 1, Gave: "out of time", Errs: []error{down, context.DeadlineExceeded}},
			"call to catalog/plan failed after 1 attempt (out of time): connection refused; context deadline exceeded"},
		{resilience.CallError{Attempts: 2, Gave: "retry budget empty", Errs: []error{down, down}},
			"call to catalog/plan failed after 2 attempts (retry budget empty): connection refused; connection refused"},
		{resilience.CallError{Attempts: 1}, "call to catalog/plan failed after 1 attempt"},
	} {
		c.err.Dependency, c.err.Operation = "catalog", "plan"
		if have := c.err.Error(); have != c.want {
			t.Errorf("have %s\nwant %s", have, c.want)
		}
	}
}

// TestFindingsCountInWords: one permit is no "1 permits".
func TestFindingsCountInWords(t *testing.T) {
	for name, c := range map[string]struct {
		set  func(*resilience.Policy)
		want string
	}{
		"one permit, no call": {
			func(p *resilience.Policy) { p.Bulkhead.Limit, p.Default.Timeout = 1, time.Minute },
			"no call can end in a window of 10s (1 permit, attempts of 1m0s), so that",
		},
		"one call": {
			func(p *resilience.Policy) { p.Bulkhead.Limit, p.Default.Timeout = 1, 10*time.Second },
			"at most 1 call can end in a window of 10s (1 permit, attempts of 10s), so that",
		},
		"the rate limit": {
			func(p *resilience.Policy) { p.RateLimit = &resilience.RateLimitPolicy{PerSecond: 0.01} },
			"the rate limit lets at most 1 call through in a window of 10s",
		},
		"Little's law": {
			func(p *resilience.Policy) {
				p.Bulkhead.Limit, p.Expect = 1, &resilience.Expectation{PerSecond: 10, Latency: 200 * time.Millisecond}
			},
			"expect.per_second 10 and expect.latency 200ms keep 2 permits busy",
		},
		"a queue before one permit": {
			func(p *resilience.Policy) {
				p.Bulkhead.Limit, p.Bulkhead.Queue, p.Expect = 1, 100, &resilience.Expectation{Latency: time.Second}
			},
			"with 1 permit it takes 1m40s to drain",
		},
		"a short timeout": {
			func(p *resilience.Policy) {
				p.Default.Timeout, p.Default.Idempotent, p.Default.Retry = time.Millisecond, true, &resilience.RetryPolicy{}
			},
			"set attempt_timeout, at most 333µs for 3 attempts",
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := breaking()
			p.Breaker = &resilience.BreakerPolicy{}
			c.set(&p)
			var all strings.Builder
			for _, f := range p.Check() {
				all.WriteString(f.Problem + "; " + f.Change + "\n")
			}
			if !strings.Contains(all.String(), c.want) {
				t.Errorf("no %q in\n%s", c.want, all.String())
			}
		})
	}
}
