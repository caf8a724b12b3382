package telemetry

import (
	"context"
	"sync"
	"time"

	"github.com/backstay-go/backstay/resilience"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// breakerTrace remembers which trace opened a dependency's breaker, so that the span of a
// refused call can link to that trace. It is safe for concurrent use.
type breakerTrace struct {
	mu     sync.Mutex
	state  resilience.BreakerState
	recent trace.SpanContext // the last recorded failure
	opened trace.SpanContext // the failure that opened it; invalid: not known
}

func (t *Telemetry) breaker(dependency string) *breakerTrace {
	if b, ok := t.breakers.Load(dependency); ok {
		return b.(*breakerTrace)
	}
	b, _ := t.breakers.LoadOrStore(dependency, new(breakerTrace))
	return b.(*breakerTrace)
}

// failed remembers the span of a failed attempt. It is used when the attempt that opens the
// breaker is not sampled.
func (b *breakerTrace) failed(span trace.SpanContext) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.recent = span
}

// breakerChanged records a change of the breaker's state. If an attempt caused the change, ctx
// is the attempt's context.
func (t *Telemetry) breakerChanged(ctx context.Context, e *resilience.Event) {
	b := t.breaker(e.Dependency)
	span := trace.SpanFromContext(ctx)
	info, ok := resilience.AttemptFrom(ctx)
	ours := ok && info.Dependency == e.Dependency && span.IsRecording()
	if ours {
		note(span, eventBreaker, BreakerFromKey.String(e.From.String()), BreakerKey.String(e.To.String()))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state = e.To
	switch {
	case e.To == resilience.BreakerClosed:
		b.opened, b.recent = trace.SpanContext{}, trace.SpanContext{}
	case e.To != resilience.BreakerOpen || e.Err == nil:
		// A half-open breaker keeps the trace that opened it. A breaker that an operator
		// forced open has none.
	case ours:
		b.opened = span.SpanContext()
	case b.recent.IsValid():
		b.opened = b.recent
	}
}

var linkOpened = []attribute.KeyValue{LinkKey.String("opened the breaker")}

// refused records on the call's span which policy refused, and links to the trace that opened
// the breaker. The span is marked as failed only if the refusal ended the call, which the
// refusal of a hedge does not.
func (t *Telemetry) refused(c *call, e *resilience.Event) {
	by := refuserOf(e)
	reported := []attribute.KeyValue{RefusedByKey.String(by.String())}
	if e.Hedged {
		reported = append(reported, AttemptTypeKey.String(hedge.String()))
	} else {
		c.span.SetAttributes(reported...)
	}
	if r, ok := resilience.RefusalOf(e.Err, e.Dependency); ok && !r.Until.IsZero() {
		reported = append(reported, RefusedUntilKey.String(r.Until.Format(time.RFC3339Nano)))
	}
	if by == byBreaker {
		b := t.breaker(e.Dependency)
		b.mu.Lock()
		state, opened := b.state, b.opened
		b.mu.Unlock()
		reported = append(reported, BreakerKey.String(state.String()))
		if opened.IsValid() {
			reported = append(reported, OpenedByTraceKey.String(opened.TraceID().String()))
			c.span.AddLink(trace.Link{SpanContext: opened, Attributes: linkOpened})
		}
	}
	note(c.span, eventRefused, reported...)
}
