package telemetry

import (
	"context"
	"errors"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/backstay-go/backstay/internal/oteltext"
	"github.com/backstay-go/backstay/resilience"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// call is the span of one recorded call. Its attempts and events may come from several
// goroutines. Some come after the call has ended: from the loser of a hedge, from detached
// work, from a background refresh.
type call struct {
	series *series
	span   trace.Span

	mu      sync.Mutex
	pause   trace.Span // the back-off that is going on, or nil
	hedged  bool
	won     bool
	last    resilience.Verdict // of the attempt that ended last
	lastErr error
}

// attempt is the span of one recorded attempt.
type attempt struct {
	series *series
	call   *call
	span   trace.Span
}

// trace makes the spans for one event, and returns the context with which the call continues.
func (t *Telemetry) trace(ctx context.Context, s *series, e *resilience.Event) context.Context {
	if e.Kind == resilience.CallStarted {
		return t.startCall(ctx, s)
	}
	if e.Kind == resilience.AttemptEnded {
		if a, _ := ctx.Value(&t.attemptKey).(*attempt); a != nil && a.series == s {
			t.endAttempt(a, e)
		}
		return nil
	}
	c, _ := ctx.Value(&t.callKey).(*call)
	if c == nil || c.series != s {
		return nil
	}
	c.endPause(e)
	switch e.Kind {
	case resilience.CallEnded:
		c.end(e)
	case resilience.AttemptStarted:
		return t.startAttempt(ctx, c, e)
	case resilience.Waited:
		now := time.Now()
		_, span := t.tracer.Start(ctx, s.waitName, trace.WithTimestamp(now.Add(-e.Took)), trace.WithAttributes(s.identity...))
		span.End(trace.WithTimestamp(now))
	case resilience.BackedOff:
		t.startPause(ctx, c, e)
	case resilience.Refused:
		t.refused(c, e)
	case resilience.FellBack:
		note(c.span, eventFellBack, SourceKey.String(e.Source.String()), AgeKey.Float64(e.Age.Seconds()),
			CauseKey.String(errorType(e).Value.AsString()))
	}
	return nil
}

// traces reports whether the event matters for spans. A call that is not sampled costs only
// this check.
func (t *Telemetry) traces(ctx context.Context, e *resilience.Event) bool {
	switch e.Kind {
	case resilience.CallStarted, resilience.BreakerChanged:
		return true
	}
	span := trace.SpanFromContext(ctx)
	if span.IsRecording() {
		return true
	}
	switch {
	case e.Kind == resilience.CallEnded, e.Kind == resilience.AttemptEnded:
		return false // their own span would record until now
	case e.Kind == resilience.AttemptStarted && !e.Apart:
		return false // the call's would
	}
	// A span that has ended records no more, but work that outlives it still belongs
	// to its trace.
	return span.SpanContext().IsSampled()
}

// note adds a span event. It is the only place that does, because OpenTelemetry plans to
// replace span events by log records (OTEP 4430).
func note(span trace.Span, name string, attributes ...attribute.KeyValue) {
	span.AddEvent(name, trace.WithAttributes(attributes...))
}

// startCall starts the span of a call, without attributes: the tracer would copy them before
// it has decided whether the span is sampled.
func (t *Telemetry) startCall(ctx context.Context, s *series) context.Context {
	ctx, span := t.tracer.Start(ctx, s.name)
	if !span.IsRecording() {
		return ctx
	}
	span.SetAttributes(s.identity...)
	return context.WithValue(ctx, &t.callKey, &call{series: s, span: span})
}

func (c *call) end(e *resilience.Event) {
	c.span.SetAttributes(AttemptsKey.Int(e.Attempt))
	switch {
	case e.Err == nil:
		c.span.SetAttributes(SourceKey.String(e.Source.String()))
		if e.Source == resilience.Cache || e.Source == resilience.Stale {
			c.span.SetAttributes(AgeKey.Float64(e.Age.Seconds()))
		}
	default:
		c.mu.Lock()
		unwelcome := isAnswer(c.last, c.lastErr) && errors.Is(e.Err, c.lastErr)
		c.mu.Unlock()
		fail(c.span, e, unwelcome)
	}
	c.span.End()
}

// isAnswer reports whether an attempt ended with a response that was judged Ignored, such as
// "not found", and not by its caller's deadline.
func isAnswer(v resilience.Verdict, err error) bool {
	return v.Outcome == resilience.Ignored && err != nil && !errors.Is(err, context.DeadlineExceeded)
}

// fail marks a span as failed. Responses judged Ignored ("not found") and cancellations by
// the caller are not errors.
func fail(span trace.Span, e *resilience.Event, unwelcome bool) {
	span.SetAttributes(errorType(e))
	switch {
	case failure(e) == failedCanceled:
		span.SetAttributes(CanceledKey.Bool(true))
	case !unwelcome:
		span.SetStatus(codes.Error, shorten(e.Err.Error()))
	}
}

// maxDescription limits a status text, in bytes: that of a panic has a stack trace.
const maxDescription = 500

func shorten(text string) string {
	if len(text) <= maxDescription {
		return oteltext.Valid(text)
	}
	end := maxDescription
	for end > maxDescription-utf8.UTFMax && !utf8.RuneStart(text[end]) {
		end--
	}
	return oteltext.Valid(text[:end]) + " …"
}

func (t *Telemetry) startAttempt(ctx context.Context, c *call, e *resilience.Event) context.Context {
	name := c.series.attemptName
	if e.Hedged {
		name = c.series.hedgeName
		c.mu.Lock()
		c.hedged = true
		c.mu.Unlock()
	}
	ctx, span := t.tracer.Start(ctx, name, trace.WithSpanKind(t.attemptKind), trace.WithAttributes(c.series.identity...),
		trace.WithAttributes(AttemptKey.Int(e.Attempt), AttemptTypeKey.String(typeOf(e).String())))
	return context.WithValue(ctx, &t.attemptKey, &attempt{series: c.series, call: c, span: span})
}

func (t *Telemetry) endAttempt(a *attempt, e *resilience.Event) {
	c := a.call
	c.mu.Lock()
	hedged, lost := c.hedged, c.won && !e.Won
	c.won = c.won || e.Won
	if !lost {
		c.last, c.lastErr = e.Verdict, e.Err
	}
	c.mu.Unlock()
	a.span.SetAttributes(OutcomeKey.String(outcomeNames[outcomeOf(e)]), ProcessedKey.String(processed(e)))
	switch {
	case hedged && e.Won:
		a.span.SetAttributes(RaceKey.String("won"))
	case hedged && lost:
		a.span.SetAttributes(RaceKey.String("lost"))
	}
	if e.Err != nil {
		fail(a.span, e, lost || isAnswer(e.Verdict, e.Err))
		if e.Verdict.Outcome == resilience.Failure {
			t.breaker(e.Dependency).failed(a.span.SpanContext())
		}
	}
	a.span.End()
}

// processed says whether the dependency has executed the attempt.
func processed(e *resilience.Event) string {
	switch {
	case e.Err == nil:
		return "yes"
	case e.Verdict.Repeat == resilience.RepeatAlways:
		return "no"
	}
	return "unknown"
}

// startPause starts the span of a back-off. It ends with the next event of the call, because
// the pause may be cut short.
func (t *Telemetry) startPause(ctx context.Context, c *call, e *resilience.Event) {
	_, span := t.tracer.Start(ctx, c.series.backoffName, trace.WithAttributes(c.series.identity...),
		trace.WithAttributes(PauseKey.Float64(e.Took.Seconds()), CauseKey.String(errorType(e).Value.AsString())))
	c.mu.Lock()
	c.pause = span
	c.mu.Unlock()
}

// endPause ends the pause at the time of an event. A wait began before its event.
func (c *call) endPause(e *resilience.Event) {
	c.mu.Lock()
	pause := c.pause
	c.pause = nil
	c.mu.Unlock()
	if pause == nil {
		return
	}
	now := time.Now()
	if e.Kind == resilience.Waited {
		now = now.Add(-e.Took)
	}
	pause.End(trace.WithTimestamp(now))
}
