package resilience_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/resilience"
	"pgregory.net/rapid"
)

// TestTheCauseOfTheCallersEndIsKept in every wait and pause that the guard ends.
func TestTheCauseOfTheCallersEndIsKept(t *testing.T) {
	stopped := errors.New("the user pressed stop")
	deaf := func(context.Context) (int, error) { time.Sleep(time.Minute); return 1, nil }
	for name, c := range map[string]struct {
		change func(*resilience.Policy) []resilience.CallOption[int]
		call   func(context.Context) (int, error)
		full   bool
	}{
		"queue": {func(p *resilience.Policy) []resilience.CallOption[int] {
			p.Bulkhead = resilience.BulkheadPolicy{Limit: 1, Queue: 1}
			return nil
		}, answer, true},
		"pause": {func(p *resilience.Policy) []resilience.CallOption[int] {
			p.Default.Retry = &resilience.RetryPolicy{}
			return nil
		}, func(context.Context) (int, error) {
			return 0, resilience.WithVerdict(errDown, resilience.Verdict{Outcome: resilience.Failure, After: 5 * time.Second})
		}, false},
		"detached": {func(p *resilience.Policy) []resilience.CallOption[int] { p.Default.Detach = true; return nil }, deaf, false},
		"race": {func(p *resilience.Policy) []resilience.CallOption[int] {
			p.Default.Hedge = &resilience.HedgePolicy{Quantile: 0.9}
			return nil
		}, deaf, false},
		"shared call": {func(*resilience.Policy) []resilience.CallOption[int] { return []resilience.CallOption[int]{shared} }, deaf, false},
	} {
		for _, deadline := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, deadline %v", name, deadline), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := policy()
					p.Bulkhead.Limit = 10
					p.Default.Timeout, p.Default.Idempotent = 30*time.Second, true
					opts := c.change(&p)
					g := mustNew(t, p)
					if c.full {
						go func() { _, _ = resilience.Do(t.Context(), g, deaf) }()
						synctest.Wait()
					}
					ctx, cancel := context.WithCancelCause(t.Context())
					defer cancel(nil)
					want := context.Canceled
					if deadline {
						var stop context.CancelFunc
						ctx, stop = context.WithTimeoutCause(ctx, time.Second, stopped)
						defer stop()
						want = context.DeadlineExceeded
					} else {
						time.AfterFunc(time.Second, func() { cancel(stopped) })
					}
					_, err := resilience.Do(ctx, g, c.call, opts...)
					if name == "pause" && deadline { // it gives up before: the pause would outlast the deadline
						if !errors.Is(err, errDown) {
							t.Error(err)
						}
						return
					}
					if !errors.Is(err, stopped) || !errors.Is(err, want) {
						t.Errorf("%v; want %v and the cause", err, want)
					}
					if os.IsTimeout(err) != deadline {
						t.Errorf("os.IsTimeout(%v) is %v", err, !deadline)
					}
					time.Sleep(2 * time.Minute) // the deaf ones end
				})
			})
		}
	}
}

// TestTimeoutsAreNetErrors, with whatever wrapping and fallback.
func TestTimeoutsAreNetErrors(t *testing.T) {
	refuses := resilience.Fallback(func(context.Context, error) (int, error) { return 0, errInner })
	for mode, change := range modes {
		for _, dress := range shapes {
			for _, opt := range [][]resilience.CallOption[int]{nil, {refuses}} {
				synctest.Test(t, func(t *testing.T) {
					p := policy()
					p.Default.Idempotent = true
					opts, _ := change(&p)
					g := mustNew(t, p)
					_, err := resilience.Do(t.Context(), g, func(ctx context.Context) (int, error) { return hangs(ctx, dress) }, append(opts, opt...)...)
					var timeout net.Error
					if !os.IsTimeout(err) || !errors.As(err, &timeout) || !timeout.Timeout() || !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("%s: %T: %v", mode, err, err)
					}
				})
			}
		}
	}
}

// TestFarDeadlines: the year 9999 is "never" to many, and wrapped around.
func TestFarDeadlines(t *testing.T) {
	p := policy()
	p.Bulkhead = resilience.BulkheadPolicy{Limit: 1, Queue: 1, MaxWait: time.Millisecond}
	g := mustNew(t, p)
	for _, at := range []time.Time{
		time.Now().AddDate(100, 0, 0), time.Now().Round(0).AddDate(200, 0, 0), time.Now().Round(0).AddDate(291, 0, 0), time.Now().Round(0).AddDate(293, 0, 0),
		time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC), time.Unix(1<<62, 0), time.Unix(1<<40, 0),
	} {
		ctx, cancel := context.WithDeadline(t.Context(), at)
		for mode, change := range modes {
			q := p
			q.Default.Idempotent = true
			opts, _ := change(&q)
			if err := g.Update(q); err != nil {
				t.Fatal(err)
			}
			if _, err := resilience.Do(ctx, g, func(ctx context.Context) (int, error) { return 1, ctx.Err() }, opts...); err != nil {
				t.Errorf("%v, %s: %v", at, mode, err)
			}
		}
		cancel()
	}
	past, cancel := context.WithDeadline(t.Context(), time.Unix(-1<<40, 0))
	defer cancel()
	if _, err := resilience.Do(past, g, answer); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

// TestASuccessIsFinal: a verdict without a failure is not repeated, and no fallback hides
// it, however the call is made.
func TestASuccessIsFinal(t *testing.T) {
	notFound := errors.New("not found")
	for mode, change := range modes {
		for _, v := range []resilience.Verdict{{}, {Repeat: resilience.RepeatAlways}} {
			p := policy()
			p.Default.Idempotent = true
			p.Breaker = &resilience.BreakerPolicy{MinimumCalls: 10}
			opts, _ := change(&p)
			g := mustNew(t, p)
			var n atomic.Int32
			_, err := resilience.Do(t.Context(), g, func(context.Context) (int, error) {
				n.Add(1)
				return 0, resilience.WithVerdict(notFound, v)
			}, append(opts, resilience.FallbackValue(7))...)
			if s := g.Snapshot(); !errors.Is(err, notFound) || n.Load() != 1 || s.Failures != 0 || s.Calls != 1 {
				t.Errorf("%s: %d attempts, %v, %+v", mode, n.Load(), err, s)
			}
		}
	}
}

// TestATokenThatIsNotUsedGoesBack: also when the caller leaves as the pause ends.
func TestATokenThatIsNotUsedGoesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy()
		p.Budget = &resilience.BudgetPolicy{Ratio: 1e-6, Burst: 500}
		p.Default.Timeout, p.Default.Idempotent, p.Default.Retry = time.Minute, true, &resilience.RetryPolicy{}
		g := mustNew(t, p)
		made := 0
		for range 200 {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			n := 0
			_, _ = resilience.Do(ctx, g, func(context.Context) (int, error) {
				n++
				return 0, resilience.WithVerdict(errDown, resilience.Verdict{Outcome: resilience.Failure, After: time.Second})
			})
			made += n - 1
			cancel()
		}
		if left := g.Snapshot().Budget; 500-left > float64(made)+1 {
			t.Errorf("%v tokens left of 500 after %d repeats", left, made)
		}
	})
}

// TestARaceKeepsItsAttemptsDeadlines, though the call ignores its context.
func TestARaceKeepsItsAttemptsDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy()
		p.Bulkhead.Limit = 10
		p.Default = resilience.OperationPolicy{Timeout: 10 * time.Second, AttemptTimeout: 100 * time.Millisecond, Idempotent: true,
			Retry: &resilience.RetryPolicy{MaxAttempts: 4, BaseDelay: time.Millisecond}, Hedge: &resilience.HedgePolicy{Delay: 50 * time.Millisecond}}
		g := mustNew(t, p)
		var disposed atomic.Int32
		began := time.Now()
		res, err := resilience.Do(t.Context(), g, func(context.Context) (int, error) { time.Sleep(time.Minute); return 1, nil },
			resilience.Dispose(func(int) { disposed.Add(1) }))
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took > 400*time.Millisecond || res.Attempts != 4 {
			t.Errorf("%+v, %v after %v", res, err, took)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if disposed.Load() != 4 {
			t.Errorf("%d values disposed of; want 4", disposed.Load())
		}
		wantIdle(t, g)
	})
}

// TestAPauseThatWasAskedForStopsHedges (gRPC A6), and a retry waits as long.
func TestAPauseThatWasAskedForStopsHedges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy()
		p.Bulkhead.Limit = 10
		p.Default = resilience.OperationPolicy{Timeout: time.Minute, Idempotent: true, Retry: &resilience.RetryPolicy{MaxAttempts: 3},
			Hedge: &resilience.HedgePolicy{Delay: 10 * time.Millisecond, MaxHedges: 4}}
		g := mustNew(t, p)
		var n atomic.Int32
		began := time.Now()
		var third time.Duration
		res, err := resilience.Do(t.Context(), g, func(context.Context) (int, error) {
			switch n.Add(1) {
			case 1:
				time.Sleep(time.Second)
				return 0, errDown
			case 2:
				return 0, resilience.WithVerdict(errDown, resilience.Verdict{Outcome: resilience.Overload, Repeat: resilience.RepeatAlways, After: 10 * time.Second})
			}
			third = time.Since(began)
			return 1, nil
		})
		if err != nil || res.Attempts != 3 || third < 10*time.Second {
			t.Errorf("%+v, %v; the third after %v", res, err, third)
		}
	})
}

// TestTheQuantileDoesNotDrift: cancelled losers are not forgotten, so that a quantile of
// 0.9 hedges a tenth of all calls.
func TestTheQuantileDoesNotDrift(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy()
		p.Bulkhead.Limit = 10
		p.Budget = &resilience.BudgetPolicy{Ratio: 1, Burst: 100_000}
		p.Default = resilience.OperationPolicy{Timeout: time.Minute, Idempotent: true, Hedge: &resilience.HedgePolicy{Quantile: 0.9}}
		g := mustNew(t, p)
		const calls = 5000
		var seed atomic.Uint64
		hedged := 0
		for range calls {
			res, err := resilience.Do(t.Context(), g, func(ctx context.Context) (int, error) {
				x := seed.Add(0x9e3779b97f4a7c15)
				x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
				x = (x ^ x>>27) * 0x94d049bb133111eb
				return takes(time.Duration(1+(x^x>>31)%1000) * time.Millisecond)(ctx)
			})
			if err != nil {
				t.Fatal(err)
			}
			hedged += res.Attempts - 1
		}
		if share := float64(hedged) / calls; share > 0.12 || share < 0.03 {
			t.Errorf("%.1f %% of calls were hedged; want at most 10, and a bit for the histogram", 100*share)
		}
	})
}

// TestNoCallerIsKeptForTheEventsOfOthers: the one that emitted changes of state went on
// for as long as there were new ones.
func TestNoCallerIsKeptForTheEventsOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy()
		var g *resilience.Guard
		var updates atomic.Int32
		g = mustNew(t, p, resilience.WithListener(listen(func(context.Context, resilience.Event) context.Context {
			if updates.Add(1) < 1000 {
				if err := g.Update(p); err != nil { // there is always one more
					t.Error(err)
				}
			}
			time.Sleep(20 * time.Millisecond)
			return nil
		})))
		began := time.Now()
		if err := g.Update(p); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 40*time.Millisecond {
			t.Errorf("the caller was kept for %v", took)
		}
		time.Sleep(time.Minute)
		if n := updates.Load(); n != 1000 {
			t.Errorf("%d events; want all 1000", n)
		}
	})
}

// TestAListenerCannotTakeTheDeadline away, and its values are seen.
func TestAListenerCannotTakeTheDeadline(t *testing.T) {
	type key struct{}
	for _, kind := range []resilience.EventKind{resilience.CallStarted, resilience.AttemptStarted} {
		for mode, change := range modes {
			synctest.Test(t, func(t *testing.T) {
				p := policy()
				p.Default.Timeout, p.Default.Idempotent = time.Minute, true
				opts, _ := change(&p)
				g := mustNew(t, p, resilience.WithListener(listen(func(ctx context.Context, e resilience.Event) context.Context {
					if e.Kind == kind {
						return context.WithValue(context.WithoutCancel(ctx), key{}, "seen")
					}
					return nil
				})))
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
				defer cancel()
				began := time.Now()
				_, err := resilience.Do(ctx, g, func(ctx context.Context) (int, error) {
					if ctx.Value(key{}) != "seen" {
						t.Errorf("%s: the listener's value is lost", mode)
					}
					child, cancel := context.WithCancel(ctx)
					defer cancel()
					<-child.Done()
					return 0, child.Err()
				}, opts...)
				if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 30*time.Millisecond {
					t.Errorf("%s: %v after %v", mode, err, time.Since(began))
				}
			})
		}
	}
}

// TestABlindBreakerSaysSo: an outer timeout that is always the shorter one hid every hang.
func TestABlindBreakerSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		blind := 0
		p := policy()
		p.Breaker = &resilience.BreakerPolicy{MinimumCalls: 5}
		p.Default.Timeout = time.Minute
		g := mustNew(t, p, resilience.WithListener(listen(func(_ context.Context, e resilience.Event) context.Context {
			if e.Kind == resilience.BreakerBlind {
				blind++
			}
			return nil
		})))
		cut := func(n int) {
			for range n {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				_, _ = resilience.Do(ctx, g, func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, ctx.Err() })
				cancel()
			}
		}
		cut(4)
		_, _ = resilience.Do(t.Context(), g, answer) // it has seen something
		cut(4)
		if blind != 0 {
			t.Errorf("emitted %d times too early", blind)
		}
		cut(50)
		if blind != 1 || g.Snapshot().Failures != 0 {
			t.Errorf("emitted %d times; want once", blind)
		}
	})
}

// TestWhatIsWrittenAsJSONCanBeRead.
func TestWhatIsWrittenAsJSONCanBeRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := resilience.Result[string]{
			Value: rapid.StringMatching(`[ -~]*`).Draw(t, "value"), Source: resilience.Source(rapid.IntRange(0, int(resilience.Static)).Draw(t, "source")),
			Age: time.Duration(rapid.Int64().Draw(t, "age")), Attempts: rapid.Int().Draw(t, "attempts"),
		}
		var out resilience.Result[string]
		roundTrip(t, in, &out)
		if out != in {
			t.Fatalf("%+v became %+v", in, out)
		}
		in.Cause = errDown
		if roundTrip(t, in, &out); out.Cause == nil || out.Cause.Error() != errDown.Error() {
			t.Fatalf("%+v became %+v", in, out)
		}
		state := resilience.BreakerState(rapid.IntRange(0, int(resilience.BreakerOpen)).Draw(t, "state"))
		snapshot := resilience.Snapshot{Dependency: "dep", Breaker: state, OpenUntil: time.Unix(1, 0).UTC(), Budget: 0.5}
		var read resilience.Snapshot
		if roundTrip(t, snapshot, &read); read != snapshot {
			t.Fatalf("%+v became %+v", snapshot, read)
		}
		report := resilience.ShadowReport{Dependency: "dep", Breaker: state, Since: time.Unix(2, 0).UTC()}
		var readReport resilience.ShadowReport
		if roundTrip(t, report, &readReport); readReport != report {
			t.Fatalf("%+v became %+v", report, readReport)
		}
		finding := resilience.Finding{Severity: resilience.Severity(rapid.IntRange(0, int(resilience.Error)).Draw(t, "severity")), Field: "f"}
		var readFinding resilience.Finding
		if roundTrip(t, finding, &readFinding); readFinding != finding {
			t.Fatalf("%+v became %+v", finding, readFinding)
		}
	})
	for _, into := range []json.Unmarshaler{new(resilience.Result[int])} {
		if err := json.Unmarshal([]byte(`{"source":"nowhere"}`), into); err == nil {
			t.Errorf("%T takes a source that there is not", into)
		}
	}
}

func roundTrip(t *rapid.T, in, out any) {
	text, err := json.Marshal(in)
	if err == nil {
		err = json.Unmarshal(text, out)
	}
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

// TestShutdownHasABound, and Close may be called from anywhere.
func TestShutdownHasABound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy()
		p.Default.Stale = &resilience.StalePolicy{MaxAge: time.Hour, FreshFor: time.Minute, RefreshAhead: time.Nanosecond}
		g := mustNew(t, p)
		last := resilience.NewLastGood[int](1)
		refresh := func(call func(context.Context) (int, error)) {
			last.Put("k", 1, time.Now())
			time.Sleep(time.Second)
			_, _ = resilience.Do(t.Context(), g, call, last.For("k"))
			synctest.Wait()
		}
		stop := make(chan struct{})
		refresh(func(context.Context) (int, error) { <-stop; return 1, nil })
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		began := time.Now()
		if err := g.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 3*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		close(stop)
		if err := g.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}

		g = mustNew(t, p)
		var closed atomic.Bool
		refresh(func(context.Context) (int, error) { closed.Store(g.Close() == nil); return 1, nil })
		time.Sleep(time.Minute)
		if !closed.Load() {
			t.Error("Close from within a refresh does not return")
		}
		h := mustNew(t, policy(), resilience.WithListener(listen(func(context.Context, resilience.Event) context.Context {
			var wg sync.WaitGroup
			wg.Go(func() { _ = g.Close() })
			wg.Wait()
			return nil
		})))
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestRunAndCheckResult: calls without a value, and values that are failures.
func TestRunAndCheckResult(t *testing.T) {
	p := policy()
	p.Breaker = &resilience.BreakerPolicy{MinimumCalls: 10}
	p.Default.Idempotent, p.Default.Retry = true, &resilience.RetryPolicy{MaxAttempts: 3, BaseDelay: time.Microsecond}
	g := mustNew(t, p)
	n := 0
	if err := resilience.Run(t.Context(), g, func(context.Context) error {
		if n++; n < 3 {
			return errDown
		}
		return nil
	}); err != nil || n != 3 {
		t.Errorf("%v after %d", err, n)
	}
	if err := resilience.Run(t.Context(), g, nil); !errors.Is(err, resilience.ErrPolicy) {
		t.Error(err)
	}
	for mode, change := range modes {
		q := policy()
		q.Breaker, q.Default.Idempotent = p.Breaker, true
		opts, most := change(&q)
		g := mustNew(t, q)
		var disposed atomic.Int32
		_, err := resilience.Do(t.Context(), g, answer, append(opts, resilience.Dispose(func(int) { disposed.Add(1) }),
			resilience.CheckResult(func(v int) error { return fmt.Errorf("%d is no answer", v) }))...)
		if s := g.Snapshot(); err == nil || s.Failures != most || int(disposed.Load()) != most {
			t.Errorf("%s: %v, %d failures, %d disposed of; want %d", mode, err, s.Failures, disposed.Load(), most)
		}
	}
}
