package resilience_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

func TestFallbackChain(t *testing.T) {
	refuse := func(context.Context, error) (int, error) { return 0, errors.New("no") }
	g := mustNew(t, policy())
	var cause error
	res, err := resilience.Do(t.Context(), g, fail,
		resilience.Fallback(refuse),
		resilience.Fallback(func(_ context.Context, err error) (int, error) { cause = err; return 7, nil }),
		resilience.FallbackValue(8))
	if err != nil || res.Value != 7 || res.Source != resilience.Static || !errors.Is(res.Cause, errDown) || !errors.Is(cause, errDown) {
		t.Errorf("%+v, %v", res, err)
	}
	res, err = resilience.Do(t.Context(), g, fail, resilience.Fallback(refuse))
	if !errors.Is(err, errDown) || res.Value != 0 {
		t.Errorf("%+v, %v", res, err)
	}
	res, err = resilience.Do(t.Context(), g, answer, resilience.FallbackValue(8))
	if err != nil || res.Value != 42 || res.Source != resilience.Live || res.Cause != nil {
		t.Errorf("%+v, %v", res, err)
	}
}

func TestFallbackDoesNotHideAnAnswer(t *testing.T) {
	g := mustNew(t, policy())
	notFound := judged{resilience.Verdict{Outcome: resilience.Ignored, Repeat: resilience.RepeatNever}}
	if _, err := resilience.Do(t.Context(), g, func(context.Context) (int, error) { return 0, notFound }, resilience.FallbackValue(8)); !errors.Is(err, notFound) {
		t.Errorf("%v; want not found", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := resilience.Do(ctx, g, answer, resilience.FallbackValue(8)); !errors.Is(err, context.Canceled) {
		t.Errorf("%v; want canceled", err)
	}
}

func TestLastGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy()
		p.Default.Stale = &resilience.StalePolicy{MaxAge: time.Minute, FreshFor: 10 * time.Second, RefreshAhead: 5 * time.Second}
		g := mustNew(t, p)
		last := resilience.NewLastGood[int](2)
		n := 0
		call := func(context.Context) (int, error) { n++; return n, nil }
		check := func(name string, call func(context.Context) (int, error), value int, from resilience.Source, age time.Duration) {
			t.Helper()
			res, err := resilience.Do(t.Context(), g, call, last.For("a"))
			if err != nil || res.Value != value || res.Source != from || res.Age != age {
				t.Errorf("%s: %+v, %v", name, res, err)
			}
		}
		check("first", call, 1, resilience.Live, 0)
		time.Sleep(5 * time.Second)
		check("fresh", call, 1, resilience.Cache, 5*time.Second)
		time.Sleep(time.Second)
		check("fresh, refreshed behind", call, 1, resilience.Cache, 6*time.Second)
		synctest.Wait()
		check("refreshed", call, 2, resilience.Cache, 0)
		time.Sleep(11 * time.Second)
		check("stale", fail, 2, resilience.Stale, 11*time.Second)
		time.Sleep(50 * time.Second)
		if _, err := resilience.Do(t.Context(), g, fail, last.For("a")); !errors.Is(err, errDown) {
			t.Errorf("too old: %v", err)
		}
	})
}

func TestMisuseIsAnErrorNotAPanic(t *testing.T) {
	g := mustNew(t, policy())
	closed := mustNew(t, policy())
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	var nilGuard *resilience.Guard
	var nilOperation *resilience.Operation
	tests := map[string]struct {
		on   resilience.Caller
		call func(context.Context) (int, error)
		opt  resilience.CallOption[int]
		want error
	}{
		"nil":               {on: nil, call: answer, want: resilience.ErrPolicy},
		"nil guard":         {on: nilGuard, call: answer, want: resilience.ErrPolicy},
		"nil operation":     {on: nilOperation, call: answer, want: resilience.ErrPolicy},
		"zero guard":        {on: new(resilience.Guard), call: answer, want: resilience.ErrPolicy},
		"zero operation":    {on: new(resilience.Operation), call: answer, want: resilience.ErrPolicy},
		"unknown operation": {on: g.Operation("nope"), call: answer, want: resilience.ErrPolicy},
		"operation of nil":  {on: nilGuard.Operation("x"), call: answer, want: resilience.ErrPolicy},
		"nil call":          {on: g, call: nil, want: resilience.ErrPolicy},
		"no memory":         {on: g, call: answer, opt: resilience.NewLastGood[int](0).For("x"), want: resilience.ErrPolicy},
		"nil memory":        {on: g, call: answer, opt: (*resilience.LastGood[int])(nil).For("x"), want: resilience.ErrPolicy},
		"closed":            {on: closed, call: answer, want: resilience.ErrClosed},
	}
	for name, tt := range tests {
		if _, err := resilience.Do(t.Context(), tt.on, tt.call, tt.opt); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v; want %v", name, err, tt.want)
		}
	}
}
