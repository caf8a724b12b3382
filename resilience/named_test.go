package resilience_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

var (
	errMissing  = errors.New("missing")
	errConflict = resilience.WithVerdict(errors.New("conflict"), resilience.Verdict{Outcome: resilience.Ignored, Repeat: resilience.RepeatNever})
)

// naming are the names of the errors of these tests.
func naming() []resilience.Option {
	return []resilience.Option{
		resilience.WithError("missing", errMissing),
		resilience.WithErrorFunc("conflict", func(err error) bool { return strings.Contains(err.Error(), "conflict") }),
	}
}

// TestThePolicySaysWhatNamedErrorsMean before the classifier does, however the error is
// wrapped and the call is made, and so after an update.
func TestThePolicySaysWhatNamedErrorsMean(t *testing.T) {
	for mode, change := range modes {
		for shape, dress := range shapes {
			for _, c := range []struct {
				name    string
				err     error
				errors  *resilience.ErrorsPolicy
				failure bool
				once    bool // the error's own verdict forbids repeats
			}{
				{"as the classifier says", errMissing, nil, true, false},
				{"as the error says", errConflict, nil, false, false},
				{"ignored", errMissing, &resilience.ErrorsPolicy{Ignored: []string{"missing"}}, false, false},
				{"failure", errConflict, &resilience.ErrorsPolicy{Failure: []string{"conflict"}}, true, true},
				{"in neither list", errMissing, &resilience.ErrorsPolicy{Ignored: []string{"conflict"}}, true, false},
				{"in both", errors.Join(errMissing, errConflict), &resilience.ErrorsPolicy{Failure: []string{"missing"}, Ignored: []string{"conflict"}}, true, true},
			} {
				for _, updated := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s/%s/%s/updated %v", mode, shape, c.name, updated), func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) {
							p := policy()
							p.Default.Timeout, p.Default.Idempotent = time.Minute, true
							p.Breaker = &resilience.BreakerPolicy{MinimumCalls: 100}
							opts, most := change(&p)
							if !updated {
								p.Errors = c.errors
							}
							g := mustNew(t, p, naming()...)
							if updated {
								p.Errors = c.errors
								update(t, g, p)
							}
							shadow, err := g.Shadow(p)
							if err != nil {
								t.Fatal(err)
							}
							res, err := resilience.Do(t.Context(), g, func(context.Context) (int, error) { return 0, dress(c.err) }, append(opts, resilience.FallbackValue(7))...)
							want, fallback := 0, false
							if c.failure {
								want, fallback = most, true
								if c.once {
									want = 1
								}
							}
							if s := g.Snapshot(); s.Failures != want || (err == nil) != fallback || res.Attempts != max(1, want) {
								t.Errorf("%d failures, %+v, %v; want %d", s.Failures, res, err, want)
							}
							if r := shadow.Report(); r.Differences() != 0 {
								t.Errorf("a shadow of the same policy sees a difference: %+v", r)
							}
						})
					})
				}
			}
		}
	}
}

// TestNamesLeaveTheCallersEndAlone: it is no error of the dependency.
func TestNamesLeaveTheCallersEndAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy()
		p.Breaker = &resilience.BreakerPolicy{MinimumCalls: 100}
		p.Errors = &resilience.ErrorsPolicy{Failure: []string{"any"}}
		g := mustNew(t, p, resilience.WithErrorFunc("any", func(error) bool { return true }))
		shadow, err := g.Shadow(p)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		_, err = resilience.Do(ctx, g, func(context.Context) (int, error) { cancel(); return 0, errMissing })
		if s := g.Snapshot(); s.Failures != 0 || err == nil {
			t.Errorf("%+v, %v", s, err)
		}
		if r := shadow.Report(); r.Differences() != 0 {
			t.Errorf("%+v", r)
		}
	})
}

// TestAShadowJudgesByItsOwnNames in its breaker, and in what it would repeat.
func TestAShadowJudgesByItsOwnNames(t *testing.T) {
	for _, c := range []struct {
		name       string
		own, other *resilience.ErrorsPolicy
		opens      bool
		repeats    bool // the guard repeats
	}{
		{"the shadow ignores", nil, &resilience.ErrorsPolicy{Ignored: []string{"missing"}}, false, true},
		{"the guard ignores", &resilience.ErrorsPolicy{Ignored: []string{"missing"}}, nil, true, false},
		{"both count", nil, &resilience.ErrorsPolicy{Failure: []string{"missing"}}, true, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := policy()
			p.Default.Idempotent, p.Default.Retry = true, &resilience.RetryPolicy{MaxAttempts: 2, BaseDelay: time.Millisecond}
			p.Breaker = &resilience.BreakerPolicy{MinimumCalls: 1, Mode: resilience.BreakerForcedClosed}
			p.Errors = c.own
			g := mustNew(t, p, naming()...)
			q := p
			q.Errors = c.other
			q.Breaker = &resilience.BreakerPolicy{MinimumCalls: 1}
			shadow, err := g.Shadow(q)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = resilience.Do(t.Context(), g, func(context.Context) (int, error) { return 0, errMissing })
			r := shadow.Report()
			if opens := r.Breaker == resilience.BreakerOpen; opens != c.opens {
				t.Errorf("%s: the shadow's breaker is %v", c.name, r.Breaker)
			}
			if want := (c.own == nil) != (c.other == nil || c.other.Ignored == nil); (r.WouldRepeat+r.WouldNotRepeat > 0) != want {
				t.Errorf("%s: %+v; want a difference: %v", c.name, r, want)
			}
		})
	}
}

// TestUnknownNamesAreRefused wherever a policy comes in, with the names that there are; and
// the policy in force stays.
func TestUnknownNamesAreRefused(t *testing.T) {
	good, bad := policy(), policy()
	good.Errors = &resilience.ErrorsPolicy{Ignored: []string{"missing"}}
	bad.Errors = &resilience.ErrorsPolicy{Failure: []string{"mising"}}
	g := mustNew(t, good, naming()...)
	k, err := resilience.NewKeyed(good, 1, naming()...)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	for name, try := range map[string]func() error{
		"New":    func() error { _, err := resilience.New(bad, naming()...); return err },
		"Update": func() error { return g.Update(bad) }, "CheckUpdate": func() error { return g.CheckUpdate(bad) },
		"Shadow":       func() error { _, err := g.Shadow(bad); return err },
		"NewKeyed":     func() error { _, err := resilience.NewKeyed(bad, 1, naming()...); return err },
		"Keyed.Update": func() error { return k.Update(bad) },
	} {
		err := try()
		var p *resilience.PolicyError
		if !errors.Is(err, resilience.ErrPolicy) || !errors.As(err, &p) || p.Findings[0].Field != "errors.failure" || !strings.Contains(err.Error(), `"mising"`) || !strings.Contains(err.Error(), "conflict, missing") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := resilience.New(bad); err == nil || !strings.Contains(err.Error(), "WithError") {
		t.Errorf("a guard without names: %v", err)
	}
	if p := g.Policy(); p.Errors.Failure != nil || len(p.Errors.Ignored) != 1 {
		t.Errorf("%+v", p.Errors)
	}
	if err := g.CheckUpdate(good); err != nil {
		t.Error(err)
	}
	for name, opt := range map[string]resilience.Option{
		"empty": resilience.WithError("", errMissing), "nil error": resilience.WithError("x", nil), "nil function": resilience.WithErrorFunc("x", nil),
		"twice": resilience.WithError("missing", errDown),
	} {
		if _, err := resilience.New(policy(), append(naming(), opt)...); !errors.Is(err, resilience.ErrPolicy) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, e := range []resilience.ErrorsPolicy{{Failure: []string{""}}, {Ignored: []string{"a", "a"}}, {Failure: []string{"a"}, Ignored: []string{"a"}}} {
		p := policy()
		p.Errors = &e
		if found := p.Check(); len(found) == 0 || found[0].Severity != resilience.Error || !strings.HasPrefix(found[0].Field, "errors.") {
			t.Errorf("%+v: %v", e, found)
		}
	}
}

// TestAPolicysNamesAreItsOwn: what a caller changes later changes no guard.
func TestAPolicysNamesAreItsOwn(t *testing.T) {
	p := policy()
	p.Errors = &resilience.ErrorsPolicy{Ignored: []string{"missing"}}
	g := mustNew(t, p, naming()...)
	p.Errors.Ignored[0] = "other"
	g.Policy().Errors.Ignored[0] = "other"
	g.Policy().WithDefaults().Errors.Ignored[0] = "other"
	if got := g.Policy().Errors.Ignored[0]; got != "missing" {
		t.Error(got)
	}
}
