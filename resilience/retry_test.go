package resilience_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

func retrying() resilience.Policy {
	p := policy()
	p.Default = resilience.OperationPolicy{
		Timeout: 10 * time.Second, AttemptTimeout: time.Second, Idempotent: true,
		Retry: &resilience.RetryPolicy{},
	}
	return p
}

// judged is an error that brings its verdict.
type judged struct{ v resilience.Verdict }

func (j judged) Error() string               { return "judged" }
func (j judged) Verdict() resilience.Verdict { return j.v }

func TestRetry(t *testing.T) {
	never := judged{resilience.Verdict{Outcome: resilience.Failure, Repeat: resilience.RepeatNever}}
	always := judged{resilience.Verdict{Outcome: resilience.Overload, Repeat: resilience.RepeatAlways}}
	tests := map[string]struct {
		change   func(*resilience.OperationPolicy)
		errs     []error // of the attempts, then success
		attempts int
		ok       bool
		gave     string
	}{
		"succeeds at once":            {errs: nil, attempts: 1, ok: true},
		"second attempt succeeds":     {errs: []error{errDown}, attempts: 2, ok: true},
		"third attempt succeeds":      {errs: []error{errDown, errDown}, attempts: 3, ok: true},
		"no attempts left":            {errs: []error{errDown, errDown, errDown}, attempts: 3, gave: "no attempts left"},
		"never":                       {errs: []error{never}, attempts: 1},
		"not idempotent":              {change: func(o *resilience.OperationPolicy) { o.Idempotent = false }, errs: []error{errDown}, attempts: 1},
		"not idempotent, not started": {change: func(o *resilience.OperationPolicy) { o.Idempotent = false }, errs: []error{always}, attempts: 2, ok: true},
		"no retry policy":             {change: func(o *resilience.OperationPolicy) { o.Retry = nil }, errs: []error{errDown}, attempts: 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := retrying()
				if tt.change != nil {
					tt.change(&p.Default)
				}
				g := mustNew(t, p)
				n := 0
				res, err := resilience.Do(t.Context(), g, func(context.Context) (int, error) {
					n++
					if n <= len(tt.errs) {
						return 0, tt.errs[n-1]
					}
					return n, nil
				})
				if res.Attempts != tt.attempts || n != tt.attempts || (err == nil) != tt.ok {
					t.Fatalf("%+v, %v, called %d times", res, err, n)
				}
				for _, want := range tt.errs[:min(n, len(tt.errs))] {
					if err != nil && !errors.Is(err, want) {
						t.Errorf("%v does not hold %v", err, want)
					}
				}
				var ce *resilience.CallError
				if tt.gave != "" && (!errors.As(err, &ce) || ce.Gave != tt.gave || ce.Attempts != n) {
					t.Errorf("error %#v; want to have given up: %s", err, tt.gave)
				}
				wantIdle(t, g)
			})
		})
	}
}

func TestRetryHonoursRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := mustNew(t, retrying())
		start, n := time.Now(), 0
		_, err := resilience.Do(t.Context(), g, func(context.Context) (int, error) {
			n++
			if n == 1 {
				return 0, fmt.Errorf("wrapped: %w", judged{resilience.Verdict{Outcome: resilience.Overload, After: 5 * time.Second}})
			}
			return 0, nil
		})
		if err != nil || time.Since(start) != 5*time.Second {
			t.Errorf("%v after %v; want 5s", err, time.Since(start))
		}
		start = time.Now()
		_, err = resilience.Do(t.Context(), g, func(context.Context) (int, error) {
			return 0, judged{resilience.Verdict{Outcome: resilience.Overload, After: time.Minute}}
		})
		if err == nil || time.Since(start) != 0 {
			t.Errorf("%v after %v; want an error at once: the pause would outlast the deadline", err, time.Since(start))
		}
	})
}

func TestRetriesOfARepeatAreNotMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outer, inner := mustNew(t, retrying()), mustNew(t, retrying())
		n := 0
		_, err := resilience.Do(t.Context(), outer, func(ctx context.Context) (int, error) {
			res, err := resilience.Do(ctx, inner, func(context.Context) (int, error) {
				n++
				return 0, errDown
			})
			return res.Value, err
		})
		if err == nil || n != 3+1+1 {
			t.Errorf("%d calls, %v; want 5", n, err)
		}
		n = 0
		_, err = resilience.Do(resilience.WithRetried(t.Context()), inner, func(context.Context) (int, error) {
			n++
			return 0, errDown
		})
		if !errors.Is(err, errDown) || n != 1 {
			t.Errorf("%d calls, %v; want 1", n, err)
		}
	})
}
