package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/resilience"
	"github.com/backstay-go/backstay/resilience/telemetry"
	"github.com/backstay-go/backstay/resilience/telemetry/bound"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

func TestACallIsOneSpanWithItsAttemptsAndPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, policy(), sdktrace.AlwaysSample())
		var inner trace.SpanContext
		fails := failing(1)
		res, err := resilience.Do(t.Context(), r.guard.Operation("plan"), func(ctx context.Context) (int, error) {
			_, span := r.tracer.Tracer("client").Start(ctx, "GET")
			inner = span.SpanContext()
			span.End()
			return fails(ctx)
		})
		if err != nil || res.Value != 42 {
			t.Fatal(res, err)
		}
		call := r.one(t, "catalog/plan")
		attempts := r.named("catalog/plan attempt")
		pause := r.one(t, "catalog/plan backoff")
		if len(attempts) != 2 {
			t.Fatalf("%d attempts", len(attempts))
		}
		wantChild(t, attempts[0], call)
		wantChild(t, attempts[1], call)
		wantChild(t, pause, call)
		wantChild(t, r.named("GET")[1], attempts[1])
		if inner.TraceID() != call.SpanContext().TraceID() {
			t.Error("the client's span is of another trace")
		}
		wantAttributes(t, call, map[attribute.Key]string{"backstay.dependency": "catalog", "backstay.operation": "plan",
			"backstay.source": "live", "backstay.attempts": "2", "error.type": ""})
		wantAttributes(t, attempts[0], map[attribute.Key]string{"backstay.attempt": "1", "backstay.attempt.type": "original",
			"backstay.attempt.outcome": "failure", "backstay.attempt.processed": "unknown", "error.type": "*errors.errorString"})
		wantAttributes(t, attempts[1], map[attribute.Key]string{"backstay.attempt": "2", "backstay.attempt.type": "retry",
			"backstay.attempt.outcome": "success", "backstay.attempt.processed": "yes", "error.type": ""})
		if call.Status().Code != codes.Unset || attempts[0].Status().Code != codes.Error || attempts[0].Status().Description != "down" {
			t.Errorf("status of call %v, of the failed attempt %v", call.Status(), attempts[0].Status())
		}
		if got := pause.EndTime(); !got.Equal(attempts[1].StartTime()) || pause.StartTime() != attempts[0].EndTime() {
			t.Errorf("the pause lasts %v to %v, not from attempt to attempt", pause.StartTime(), got)
		}
	})
}

func TestAWaitIsASpan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy()
		p.Bulkhead.Limit = 1
		r := newRig(t, p, sdktrace.AlwaysSample())
		slow := func(context.Context) (int, error) { time.Sleep(30 * time.Millisecond); return 1, nil }
		done := make(chan error)
		go func() { _, err := resilience.Do(t.Context(), r.guard, slow); done <- err }()
		synctest.Wait()
		_, err := resilience.Do(t.Context(), r.guard, slow)
		must(t, err)
		must(t, <-done)
		wait := r.one(t, "catalog/default wait")
		if took := wait.EndTime().Sub(wait.StartTime()); took != 30*time.Millisecond {
			t.Errorf("the wait's span lasts %v", took)
		}
		wantChild(t, wait, r.named("catalog/default")[1])
	})
}

func TestAPauseEndsBeforeTheWaitThatFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy()
		p.Bulkhead.Limit = 1
		r := newRig(t, p, sdktrace.AlwaysSample())
		fails := failing(1)
		done := make(chan error)
		go func() {
			_, err := resilience.Do(t.Context(), r.guard.Operation("plan"), func(ctx context.Context) (int, error) { return fails(ctx) })
			done <- err
		}()
		synctest.Wait() // it pauses; take its permit
		_, err := resilience.Do(t.Context(), r.guard, func(context.Context) (int, error) { time.Sleep(100 * time.Millisecond); return 1, nil })
		must(t, err)
		must(t, <-done)
		pause, wait := r.one(t, "catalog/plan backoff"), r.one(t, "catalog/plan wait")
		if !pause.EndTime().Equal(wait.StartTime()) {
			t.Errorf("pause until %v, wait from %v", pause.EndTime(), wait.StartTime())
		}
	})
}

func TestHedgesAreSiblingsWithWinnerAndLoser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy()
		p.Operations["plan"] = resilience.OperationPolicy{Timeout: time.Second, Idempotent: true, Hedge: &resilience.HedgePolicy{Delay: 20 * time.Millisecond}}
		r := newRig(t, p, sdktrace.AlwaysSample())
		first := make(chan bool, 1)
		first <- true
		res, err := resilience.Do(t.Context(), r.guard.Operation("plan"), func(ctx context.Context) (int, error) {
			select {
			case <-first:
				<-ctx.Done()
				return 0, ctx.Err()
			default:
				return 42, nil
			}
		})
		if err != nil || res.Source != resilience.Hedge {
			t.Fatal(res, err)
		}
		synctest.Wait()
		call, loser, winner := r.one(t, "catalog/plan"), r.one(t, "catalog/plan attempt"), r.one(t, "catalog/plan hedge")
		wantChild(t, loser, call)
		wantChild(t, winner, call)
		wantAttributes(t, call, map[attribute.Key]string{"backstay.source": "hedge", "backstay.attempts": "2"})
		wantAttributes(t, winner, map[attribute.Key]string{"backstay.attempt.type": "hedge", "backstay.attempt.race": "won", "backstay.attempt.outcome": "success"})
		wantAttributes(t, loser, map[attribute.Key]string{"backstay.attempt.type": "original", "backstay.attempt.race": "lost", "backstay.attempt.outcome": "ignored"})
		if loser.Status().Code != codes.Unset {
			t.Error("the loser's span is an error")
		}
	})
}

func TestAFallbackIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy()
		p.Default.Stale = &resilience.StalePolicy{MaxAge: time.Hour}
		r := newRig(t, p, sdktrace.AlwaysSample())
		last := resilience.NewLastGood[int](1)
		_, err := resilience.Do(t.Context(), r.guard, failing(0), last.For("k"))
		must(t, err)
		time.Sleep(340 * time.Second)
		_, err = resilience.Do(t.Context(), r.guard, failing(1), last.For("k"))
		must(t, err)
		call := r.named("catalog/default")[1]
		wantAttributes(t, call, map[attribute.Key]string{"backstay.source": "stale", "backstay.age_s": "340", "error.type": ""})
		if call.Status().Code != codes.Unset || len(call.Events()) != 1 {
			t.Fatalf("status %v, events %v", call.Status(), call.Events())
		}
		e := call.Events()[0]
		if e.Name != "backstay.fell_back" || get(e.Attributes, "backstay.source") != "stale" ||
			get(e.Attributes, "backstay.age_s") != "340" || get(e.Attributes, "backstay.cause") != "*errors.errorString" {
			t.Errorf("event %v", e)
		}
	})
}

func TestARefusalLeadsToTheTraceThatOpenedTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy()
		p.Breaker = &resilience.BreakerPolicy{MinimumCalls: 2}
		r := newRig(t, p, sdktrace.AlwaysSample())
		for range 2 {
			if _, err := resilience.Do(t.Context(), r.guard, failing(1)); !errors.Is(err, errDown) {
				t.Fatal(err)
			}
		}
		if _, err := resilience.Do(t.Context(), r.guard, failing(1)); !errors.Is(err, resilience.ErrOpen) {
			t.Fatal(err)
		}
		opener := r.named("catalog/default attempt")[1]
		if e := opener.Events(); len(e) != 1 || e[0].Name != "backstay.breaker.changed" || get(e[0].Attributes, "backstay.breaker.state") != "open" {
			t.Errorf("the attempt that opened the breaker tells %v", e)
		}
		call := r.named("catalog/default")[2]
		wantAttributes(t, call, map[attribute.Key]string{"error.type": "refused.breaker", "backstay.refused.by": "breaker", "backstay.attempts": "0"})
		if call.Status().Code != codes.Error {
			t.Errorf("status %v", call.Status())
		}
		if len(call.Links()) != 1 || !call.Links()[0].SpanContext.Equal(opener.SpanContext()) {
			t.Fatalf("links %v, want one to %v", call.Links(), opener.SpanContext().SpanID())
		}
		e := call.Events()[0]
		if e.Name != "backstay.refused" || get(e.Attributes, "backstay.breaker.state") != "open" ||
			get(e.Attributes, "backstay.breaker.opened_by.trace_id") != opener.SpanContext().TraceID().String() ||
			get(e.Attributes, "backstay.refused.until") == "" {
			t.Errorf("event %v", e)
		}
	})
}

// An opening whose own call is not sampled still leads somewhere: to the last
// failure that is.
func TestARefusalLeadsToARecordedFailureIfTheOpeningIsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy()
		p.Breaker = &resilience.BreakerPolicy{MinimumCalls: 2}
		r := newRig(t, p, sdktrace.ParentBased(sdktrace.AlwaysSample()))
		unsampled := trace.ContextWithRemoteSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{TraceID: [16]byte{1}, SpanID: [8]byte{1}}))
		for _, ctx := range []context.Context{t.Context(), unsampled} {
			if _, err := resilience.Do(ctx, r.guard, failing(1)); !errors.Is(err, errDown) {
				t.Fatal(err)
			}
		}
		if _, err := resilience.Do(t.Context(), r.guard, failing(1)); !errors.Is(err, resilience.ErrOpen) {
			t.Fatal(err)
		}
		failed := r.one(t, "catalog/default attempt")
		if l := r.named("catalog/default")[1].Links(); len(l) != 1 || !l[0].SpanContext.Equal(failed.SpanContext()) {
			t.Errorf("links %v", l)
		}
	})
}

func TestStatusOfWaysOut(t *testing.T) {
	notFound := judged{errors.New("not found"), resilience.Verdict{Outcome: resilience.Ignored, Repeat: resilience.RepeatNever}}
	refusedByPeer := judged{errors.New("too many requests"), resilience.Verdict{Outcome: resilience.Overload, Repeat: resilience.RepeatAlways}}
	for _, c := range []struct {
		name       string
		call       func(ctx context.Context, cancel func()) error
		callCode   codes.Code
		attempt    codes.Code
		errorType  string
		attributes map[attribute.Key]string
	}{
		{"failure", func(context.Context, func()) error { return errDown }, codes.Error, codes.Error, "*errors.errorString", nil},
		{"not found", func(context.Context, func()) error { return fmt.Errorf("wrapped: %w", notFound) }, codes.Unset, codes.Unset,
			"github.com/backstay-go/backstay/resilience/telemetry_test.judged", map[attribute.Key]string{"backstay.attempt.outcome": "ignored"}},
		{"certainly not processed", func(context.Context, func()) error { return refusedByPeer }, codes.Error, codes.Error,
			"github.com/backstay-go/backstay/resilience/telemetry_test.judged",
			map[attribute.Key]string{"backstay.attempt.outcome": "overload", "backstay.attempt.processed": "no"}},
		{"canceled by the caller", func(ctx context.Context, cancel func()) error { cancel(); <-ctx.Done(); return ctx.Err() }, codes.Unset, codes.Unset,
			"canceled", map[attribute.Key]string{"backstay.canceled": "true"}},
		{"out of time", func(ctx context.Context, _ func()) error { <-ctx.Done(); return ctx.Err() }, codes.Error, codes.Error,
			"timeout", map[attribute.Key]string{"backstay.attempt.outcome": "failure", "backstay.attempt.processed": "unknown"}},
		{"says its type", func(context.Context, func()) error { return typed{} }, codes.Error, codes.Error, "overloaded", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, policy(), sdktrace.AlwaysSample())
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if _, err := resilience.Do(ctx, r.guard, func(ctx context.Context) (int, error) { return 0, c.call(ctx, cancel) }); err == nil {
					t.Fatal("no error")
				}
				call, attempt := r.one(t, "catalog/default"), r.one(t, "catalog/default attempt")
				if call.Status().Code != c.callCode || attempt.Status().Code != c.attempt {
					t.Errorf("status of the call %v, of the attempt %v", call.Status(), attempt.Status())
				}
				wantAttributes(t, call, map[attribute.Key]string{"error.type": c.errorType})
				wantAttributes(t, attempt, map[attribute.Key]string{"error.type": c.errorType})
				wantAttributes(t, attempt, c.attributes)
			})
		})
	}
}

type judged struct {
	error
	verdict resilience.Verdict
}

func (j judged) Verdict() resilience.Verdict { return j.verdict }

type typed struct{}

func (typed) Error() string     { return "overloaded: 3 of 5" }
func (typed) ErrorType() string { return "overloaded" }

func TestPanicAndGoexitEndEverySpan(t *testing.T) {
	for name, end := range map[string]func(){"panic": func() { panic(strings.Repeat("long ", 1000)) }, "goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, policy(), sdktrace.AlwaysSample())
				done := make(chan struct{})
				go func() {
					defer close(done)
					defer func() { _ = recover() }()
					_, _ = resilience.Do(t.Context(), r.guard, func(context.Context) (int, error) { end(); return 0, nil })
				}()
				<-done
				call, attempt := r.one(t, "catalog/default"), r.one(t, "catalog/default attempt")
				if call.Status().Code != codes.Error || attempt.Status().Code != codes.Error {
					t.Errorf("status of the call %v, of the attempt %v", call.Status(), attempt.Status())
				}
				if n := len(attempt.Status().Description); n > 600 {
					t.Errorf("a description of %d bytes", n)
				}
			})
		})
	}
}

// Work that goes on after its call is still seen in the call's trace.
func TestARefreshInTheBackgroundBelongsToTheTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy()
		p.Default.Stale = &resilience.StalePolicy{MaxAge: time.Hour, FreshFor: time.Minute, RefreshAhead: time.Second}
		r := newRig(t, p, sdktrace.AlwaysSample())
		last := resilience.NewLastGood[int](1)
		_, err := resilience.Do(t.Context(), r.guard, failing(0), last.For("k"))
		must(t, err)
		time.Sleep(2 * time.Second)
		res, err := resilience.Do(t.Context(), r.guard, func(context.Context) (int, error) { time.Sleep(time.Second); return 43, nil }, last.For("k"))
		if err != nil || res.Source != resilience.Cache {
			t.Fatal(res, err)
		}
		time.Sleep(2 * time.Second)
		call := r.named("catalog/default")[1]
		wantAttributes(t, call, map[attribute.Key]string{"backstay.source": "cache", "backstay.age_s": "2", "backstay.attempts": "0"})
		wantChild(t, r.named("catalog/default attempt")[1], call)
	})
}

// TestASharedCallBelongsToTheTraceOfWhoStartedIt, also when that caller has left.
func TestASharedCallBelongsToTheTraceOfWhoStartedIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, policy(), sdktrace.AlwaysSample())
		plan := r.guard.Operation("plan")
		fails := failing(1)
		slow := func(ctx context.Context) (int, error) { time.Sleep(20 * time.Millisecond); return fails(ctx) }
		first, leave := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer leave()
		done := make(chan error)
		go func() {
			_, err := resilience.Do(first, plan, slow, resilience.Coalesce[int]("k"))
			done <- err
		}()
		synctest.Wait()
		_, err := resilience.Do(t.Context(), plan, slow, resilience.Coalesce[int]("k"))
		must(t, err)
		if err := <-done; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the caller that left: %v", err)
		}
		if attempts := r.named("catalog/plan attempt"); len(attempts) != 2 {
			t.Errorf("%d attempts in the trace, want the one that failed and its retry", len(attempts))
		}
	})
}

func TestNestedGuardsKeepTheirEventsApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, policy(), sdktrace.AlwaysSample())
		other := policy()
		other.Name = "studio"
		inner, err := resilience.New(other, resilience.WithListener(r.tel))
		must(t, err)
		defer func() { must(t, inner.Close()) }()
		_, err = resilience.Do(t.Context(), r.guard, func(ctx context.Context) (int, error) {
			res, err := resilience.Do(ctx, inner, failing(1), resilience.FallbackValue(7))
			return res.Value, err
		})
		must(t, err)
		wantChild(t, r.one(t, "studio/default"), r.one(t, "catalog/default attempt"))
		wantChild(t, r.one(t, "studio/default attempt"), r.one(t, "studio/default"))
		if n := len(r.one(t, "catalog/default").Events()); n != 0 {
			t.Errorf("%d events of the inner call on the outer span", n)
		}
	})
}

func TestBadConfiguration(t *testing.T) {
	for name, c := range map[string]struct {
		config telemetry.Config
		want   string
	}{
		"nothing given": {telemetry.Config{}, "neither TracerProvider nor MeterProvider"},
		"negative":      {telemetry.Config{TracerProvider: sdktrace.NewTracerProvider(), MaxOperations: -1}, "MaxOperations is -1"},
		"bound alone":   {telemetry.Config{TracerProvider: sdktrace.NewTracerProvider(), Histograms: bound.New()}, "Histograms is set without MeterProvider"},
		"kind":          {telemetry.Config{TracerProvider: sdktrace.NewTracerProvider(), AttemptKind: 99}, "AttemptKind is 99"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := telemetry.New(c.config)
			if !errors.Is(err, telemetry.ErrConfig) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want ErrConfig with %q", err, c.want)
			}
		})
	}
}

// TestARefusedHedgeDoesNotMarkTheCall: the call goes on and succeeds.
func TestARefusedHedgeDoesNotMarkTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy()
		p.Bulkhead = resilience.BulkheadPolicy{Limit: 1}
		p.Default.Idempotent, p.Default.Hedge = true, &resilience.HedgePolicy{Delay: 10 * time.Millisecond}
		r := newRig(t, p, sdktrace.AlwaysSample())
		if _, err := resilience.Do(t.Context(), r.guard, func(context.Context) (int, error) { time.Sleep(15 * time.Millisecond); return 1, nil }); err != nil {
			t.Fatal(err)
		}
		call := r.one(t, "catalog/default")
		wantAttributes(t, call, map[attribute.Key]string{"backstay.refused.by": "", "backstay.source": "live"})
		if e := call.Events(); len(e) != 1 || get(e[0].Attributes, "backstay.refused.by") != "bulkhead" || get(e[0].Attributes, "backstay.attempt.type") != "hedge" {
			t.Errorf("events %+v; want one, of a refused hedge", e)
		}
	})
}
