package chaos_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/chaos"
)

func one(w chaos.What) chaos.Plan { return chaos.Plan{Rules: []chaos.Rule{{Name: "one", What: w}}} }

func TestDo(t *testing.T) {
	errReal := errors.New("unavailable")
	for name, c := range map[string]struct {
		what  chaos.What
		value int
		err   error
		took  time.Duration
		ran   time.Duration // when the function ran; -1: never
	}{
		"latency before":  {chaos.What{Kind: chaos.Latency, Delay: time.Second}, 7, nil, time.Second, time.Second},
		"latency after":   {chaos.What{Kind: chaos.Latency, Delay: time.Second, At: "after"}, 7, nil, time.Second, 0},
		"too slow":        {chaos.What{Kind: chaos.Latency, Delay: time.Minute}, 0, context.DeadlineExceeded, 10 * time.Second, -1},
		"too slow, after": {chaos.What{Kind: chaos.Latency, Delay: time.Minute, At: "after"}, 0, context.DeadlineExceeded, 10 * time.Second, 0},
		"error":           {chaos.What{Kind: chaos.Error, Message: "no"}, 0, chaos.ErrInjected, 0, -1},
		"real error":      {chaos.What{Kind: chaos.Error, Code: "unavailable"}, 0, errReal, 0, -1},
		"hang":            {chaos.What{Kind: chaos.Hang}, 0, context.DeadlineExceeded, 10 * time.Second, -1},
		"hang after":      {chaos.What{Kind: chaos.Hang, At: "after"}, 0, context.DeadlineExceeded, 10 * time.Second, 0},
		"wrong result":    {chaos.What{Kind: chaos.WrongResult}, -7, nil, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var events []chaos.Event
				i := injector(t, one(c.what), chaos.Config{Listeners: []chaos.Listener{chaos.ListenerFunc(func(_ context.Context, e chaos.Event) { events = append(events, e) })}})
				i.Start()
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				begin := time.Now()
				p := i.Point("store", "read", map[string]error{"unavailable": errReal})
				ran := time.Duration(-1)
				v, err := chaos.Do(ctx, p, func(context.Context) (int, error) { ran = time.Since(begin); return 7, nil }, func(v int) int { return -v })
				if ran != c.ran {
					t.Errorf("it ran after %v, want %v", ran, c.ran)
				}
				if v != c.value || !errors.Is(err, c.err) || time.Since(begin) != c.took {
					t.Errorf("%v, %v after %v; want %v, %v after %v", v, err, time.Since(begin), c.value, c.err, c.took)
				}
				if len(events) != 1 || events[0].Rule != "one" || events[0].Call.Dependency != "store" {
					t.Errorf("events %v", events)
				}
			})
		})
	}
}

// TestWrapIsForGuards: the function that it makes meets the faults again with each call.
func TestWrapIsForGuards(t *testing.T) {
	plan := one(chaos.What{Kind: chaos.Error})
	plan.Rules[0].When.First = 2
	i := injector(t, plan, chaos.Config{})
	i.Start()
	defer i.Stop()
	ran := 0
	wrapped := chaos.Wrap(i.Point("d", "o", nil), func(context.Context) (int, error) { ran++; return 7, nil })
	for n, want := range []error{chaos.ErrInjected, chaos.ErrInjected, nil} {
		if v, err := wrapped(t.Context()); !errors.Is(err, want) || (v == 7) != (want == nil) {
			t.Errorf("call %d: %d, %v; want %v", n+1, v, err, want)
		}
	}
	if ran != 1 {
		t.Errorf("the function ran %d times", ran)
	}
}

func TestPanicIsNamed(t *testing.T) {
	i := injector(t, one(chaos.What{Kind: chaos.Panic, Message: "boom"}), chaos.Config{})
	i.Start()
	defer func() {
		err, ok := recover().(*chaos.InjectedError)
		if !ok || !strings.Contains(err.Error(), `store: boom (injected by chaos rule "one")`) {
			t.Errorf("panicked with %v", err)
		}
	}()
	_, err := chaos.Do(t.Context(), i.Point("store", "", nil), func(context.Context) (int, error) { return 7, nil })
	t.Errorf("returned %v", err)
}

// TestAHangEndsWithItsRule: no fault outlives its window, even if the caller has
// no deadline.
func TestAHangEndsWithItsRule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plan := one(chaos.What{Kind: chaos.Hang})
		plan.Rules[0].When.To = 3 * time.Second
		i := injector(t, plan, chaos.Config{})
		i.Start()
		begin := time.Now()
		v, err := chaos.Do(t.Context(), i.Point("d", "o", nil), func(context.Context) (int, error) { return 7, nil })
		if v != 7 || err != nil || time.Since(begin) != 3*time.Second {
			t.Errorf("%v, %v after %v", v, err, time.Since(begin))
		}
	})
}

func TestStopEndsAHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := injector(t, one(chaos.What{Kind: chaos.Hang}), chaos.Config{})
		i.Start()
		done := make(chan error)
		go func() {
			_, err := chaos.Do(t.Context(), i.Point("d", "o", nil), func(context.Context) (int, error) { return 7, nil })
			done <- err
		}()
		synctest.Wait()
		i.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plan := one(chaos.What{Kind: chaos.ClockSkew, Skew: -time.Hour})
		plan.Rules[0].When.To = time.Minute
		var reported []chaos.Event
		i := injector(t, plan, chaos.Config{Listeners: []chaos.Listener{chaos.ListenerFunc(func(_ context.Context, e chaos.Event) { reported = append(reported, e) })}})
		now := i.Point("clock", "", nil).Clock(t.Context(), nil)
		if d := time.Until(now()); d != 0 {
			t.Errorf("skew %v before the start", d)
		}
		i.Start()
		if d := time.Until(now()); d != -time.Hour {
			t.Errorf("skew %v", d)
		}
		now()
		time.Sleep(time.Minute)
		if d := time.Until(now()); d != 0 {
			t.Errorf("skew %v after the end", d)
		}
		if len(reported) != 1 || reported[0].Kind != chaos.ClockSkew || reported[0].Call.Dependency != "clock" || reported[0].Rule == "" {
			t.Errorf("reported two skewed readings: %+v; want the first", reported)
		}
	})
}

func TestAListenersPanicStaysThere(t *testing.T) {
	reported := 0
	i := injector(t, one(chaos.What{Kind: chaos.Error}), chaos.Config{Listeners: []chaos.Listener{
		chaos.ListenerFunc(func(context.Context, chaos.Event) { panic("listener") }),
		chaos.ListenerFunc(func(context.Context, chaos.Event) { reported++ }),
		chaos.ListenerFunc(func(context.Context, chaos.Event) { reported++ }),
	}})
	i.Start()
	_, err := chaos.Do(t.Context(), i.Point("d", "o", nil), func(context.Context) (int, error) { return 7, nil })
	if !errors.Is(err, chaos.ErrInjected) || reported != 2 || i.Stats().ListenerPanics != 1 {
		t.Errorf("error %v, the others were called %d times, stats %+v", err, reported, i.Stats())
	}
}

func TestOffAllocatesNothing(t *testing.T) {
	i := injector(t, one(chaos.What{Kind: chaos.Error}), chaos.Config{})
	p, ctx := i.Point("d", "o", nil), t.Context()
	fn := func(context.Context) (int, error) { return 7, nil }
	for name, p := range map[string]*chaos.Point{"nil": nil, "not started": p} {
		if n := testing.AllocsPerRun(100, func() {
			if v, err := chaos.Do(ctx, p, fn); v != 7 || err != nil {
				t.Fatal(v, err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkDo(b *testing.B) {
	i, err := chaos.New(one(chaos.What{Kind: chaos.Error}), chaos.Config{})
	if err != nil {
		b.Fatal(err)
	}
	fn := func(context.Context) (int, error) { return 7, nil }
	ctx := b.Context()
	b.Run("plain", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = fn(ctx)
		}
	})
	for name, p := range map[string]*chaos.Point{"nil": nil, "off": i.Point("d", "o", nil)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = chaos.Do(ctx, p, fn)
			}
		})
	}
}
