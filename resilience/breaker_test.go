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

func breaking() resilience.Policy {
	p := policy()
	p.Breaker = &resilience.BreakerPolicy{MinimumCalls: 4, Probes: 3, Jitter: -1, OpenFor: 5 * time.Second}
	return p
}

func state(g *resilience.Guard) resilience.BreakerState { return g.Snapshot().Breaker }

func trip(t *testing.T, g *resilience.Guard) {
	t.Helper()
	for range 4 {
		if _, err := resilience.Do(t.Context(), g, fail); !errors.Is(err, errDown) {
			t.Fatal(err)
		}
	}
	if s := state(g); s != resilience.BreakerOpen {
		t.Fatalf("breaker is %v; want open", s)
	}
}

func TestBreakerOpensAndRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &log{}
		g := mustNew(t, breaking(), resilience.WithListener(l))
		trip(t, g)
		_, err := resilience.Do(t.Context(), g, answer)
		var refusal *resilience.Refusal
		if !errors.Is(err, resilience.ErrOpen) || !errors.Is(err, resilience.ErrRefused) || !errors.As(err, &refusal) ||
			!refusal.Until.Equal(time.Now().Add(5*time.Second)) || refusal.Dependency != "dep" || refusal.Operation != "default" {
			t.Fatalf("%#v", err)
		}
		time.Sleep(5*time.Second + 1)
		synctest.Wait()
		for i := range 3 {
			if s := state(g); s != resilience.BreakerHalfOpen {
				t.Fatalf("before probe %d: %v; want half-open", i, s)
			}
			if _, err := resilience.Do(t.Context(), g, answer); err != nil {
				t.Fatal(err)
			}
		}
		if s := state(g); s != resilience.BreakerClosed {
			t.Fatalf("%v; want closed", s)
		}
		var path []resilience.BreakerState
		for _, e := range l.of(resilience.BreakerChanged) {
			path = append(path, e.From, e.To)
		}
		want := []resilience.BreakerState{resilience.BreakerClosed, resilience.BreakerOpen, resilience.BreakerOpen, resilience.BreakerHalfOpen, resilience.BreakerHalfOpen, resilience.BreakerClosed}
		for i := range want {
			if i >= len(path) || path[i] != want[i] {
				t.Fatalf("transitions %v; want %v", path, want)
			}
		}
	})
}

func TestBreakerOpenPeriodGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := mustNew(t, breaking())
		trip(t, g)
		for _, want := range []time.Duration{5, 10, 20, 30, 30} {
			want *= time.Second
			if got := time.Until(g.Snapshot().OpenUntil); got != want {
				t.Fatalf("open for %v; want %v", got, want)
			}
			time.Sleep(want + 1)
			synctest.Wait()
			if _, err := resilience.Do(t.Context(), g, fail); !errors.Is(err, errDown) {
				t.Fatal(err)
			}
		}
	})
}

func TestBreakerCountsSlowCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := breaking()
		p.Breaker.SlowCall = 100 * time.Millisecond
		g := mustNew(t, p)
		for range 4 {
			if _, err := resilience.Do(t.Context(), g, takes(100*time.Millisecond)); err != nil {
				t.Fatal(err)
			}
		}
		if s := state(g); s != resilience.BreakerOpen {
			t.Errorf("%v; want open", s)
		}
	})
}

func TestBreakerModes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := breaking()
		g := mustNew(t, p)
		set := func(mode resilience.BreakerMode) {
			t.Helper()
			b := *p.Breaker
			b.Mode = mode
			p.Breaker = &b
			if err := g.Update(p); err != nil {
				t.Fatal(err)
			}
		}
		set(resilience.BreakerForcedOpen)
		if _, err := resilience.Do(t.Context(), g, answer); !errors.Is(err, resilience.ErrOpen) || state(g) != resilience.BreakerOpen {
			t.Errorf("forced open: %v, %v", err, state(g))
		}
		set(resilience.BreakerForcedClosed)
		for range 10 {
			if _, err := resilience.Do(t.Context(), g, fail); !errors.Is(err, errDown) {
				t.Errorf("forced closed: %v", err)
			}
		}
		if s := g.Snapshot(); s.Breaker != resilience.BreakerClosed || s.Failures != 10 {
			t.Errorf("forced closed: %+v", s)
		}
		set(resilience.BreakerDisabled)
		if _, err := resilience.Do(t.Context(), g, fail); !errors.Is(err, errDown) || g.Snapshot().Failures != 10 {
			t.Errorf("disabled: %v, %+v", err, g.Snapshot())
		}
		set(resilience.BreakerAuto)
		if _, err := resilience.Do(t.Context(), g, fail); !errors.Is(err, errDown) || state(g) != resilience.BreakerOpen {
			t.Errorf("auto again: %v, %v", err, state(g))
		}
	})
}

// TestAForcedBreakerOpensUntilNoTime: an operator ends that, not the clock.
func TestAForcedBreakerOpensUntilNoTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := mustNew(t, breaking())
		trip(t, g)
		if g.Snapshot().OpenUntil.IsZero() {
			t.Error("an open breaker does not say until when")
		}
		for _, mode := range []resilience.BreakerMode{resilience.BreakerForcedOpen, resilience.BreakerForcedClosed, resilience.BreakerDisabled} {
			if err := g.Force(mode); err != nil {
				t.Fatal(err)
			}
			if s := g.Snapshot(); !s.OpenUntil.IsZero() {
				t.Errorf("forced %q: %v until %v", mode, s.Breaker, s.OpenUntil)
			}
		}
	})
}

// TestEachOpeningTellsItsCause: the failure that opened the circuit, and the probe's that
// opened it again, also when that did not end.
func TestEachOpeningTellsItsCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := breaking()
		p.Breaker.ProbeTimeout = time.Second
		l := &log{}
		g := halfOpen(t, p, resilience.WithListener(l))
		errProbe := errors.New("the probe failed")
		if _, err := resilience.Do(t.Context(), g, func(context.Context) (int, error) { return 0, errProbe }); !errors.Is(err, errProbe) {
			t.Fatal(err)
		}
		time.Sleep(time.Until(g.Snapshot().OpenUntil))
		synctest.Wait()
		if _, err := resilience.Do(t.Context(), g, func(context.Context) (int, error) { time.Sleep(2 * time.Second); return 0, nil }); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		var causes []error
		for _, e := range l.of(resilience.BreakerChanged) {
			if e.To == resilience.BreakerOpen {
				causes = append(causes, e.Err)
			} else if e.Err != nil {
				t.Errorf("to %v: %v", e.To, e.Err)
			}
		}
		if len(causes) != 3 || !errors.Is(causes[0], errDown) || !errors.Is(causes[1], errProbe) || !strings.Contains(causes[2].Error(), "did not end in time") {
			t.Errorf("opened by %q", causes)
		}
	})
}

// TestAnotherNumberOfProbesWhileHalfOpen: those that run end by the number they began with,
// and the next recovery needs the new one.
func TestAnotherNumberOfProbesWhileHalfOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := breaking() // 3 probes
		g := halfOpen(t, p)
		probes := func(want int) {
			t.Helper()
			for n := 1; ; n++ {
				if _, err := resilience.Do(t.Context(), g, answer); err != nil {
					t.Fatal(err)
				}
				if s := state(g); s == resilience.BreakerClosed {
					if n != want {
						t.Errorf("closed after %d probes; want %d", n, want)
					}
					return
				}
			}
		}
		update := func(n int) {
			t.Helper()
			p.Breaker.Probes = n
			if err := g.Update(p); err != nil {
				t.Fatal(err)
			}
		}
		update(1)
		if s := state(g); s != resilience.BreakerHalfOpen {
			t.Fatalf("%v after an update; want half-open", s)
		}
		probes(3)
		for _, n := range []int{1, 5} {
			trip(t, g)
			time.Sleep(time.Until(g.Snapshot().OpenUntil))
			synctest.Wait()
			probes(n)
			update(5) // while closed
		}
		trip(t, g)
		update(2) // while open
		time.Sleep(time.Until(g.Snapshot().OpenUntil))
		synctest.Wait()
		probes(2)
	})
}
