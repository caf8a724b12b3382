package telemetry

import (
	"context"
	"sync"
	"time"

	"github.com/backstay-go/backstay/resilience"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// breakerTrace remembers which trace opened a dependency's breaker, so that a
// refused call can lead there. Safe for concurrent use.
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

// failed remembers a failed attempt's span, for openings whose own is not sampled.
func (b *breakerTrace) failed(span trace.SpanContext) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.recent = span
}

// breakerChanged is told in the context of an attempt if it was one that moved the
// breaker.
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
		// Half-open keeps what opened it; forced open by an operator, nothing did.
	case ours:
		b.opened = span.SpanContext()
	case b.recent.IsValid():
		b.opened = b.recent
	}
}

var linkOpened = []attribute.KeyValue{LinkKey.String("opened the breaker")}

// refused tells on the call's span who refused, and leads to what opened the breaker.
// The span itself is marked only if that ended the call, which a refused hedge does not.
func (t *Telemetry) refused(c *call, e *resilience.Event) {
	by := refuserOf(e)
	told := []attribute.KeyValue{RefusedByKey.String(by.String())}
	if e.Hedged {
		told = append(told, AttemptTypeKey.String(hedge.String()))
	} else {
		c.span.SetAttributes(told...)
	}
	if r, ok := resilience.RefusalOf(e.Err, e.Dependency); ok && !r.Until.IsZero() {
		told = append(told, RefusedUntilKey.String(r.Until.Format(time.RFC3339Nano)))
	}
	if by == byBreaker {
		b := t.breaker(e.Dependency)
		b.mu.Lock()
		state, opened := b.state, b.opened
		b.mu.Unlock()
		told = append(told, BreakerKey.String(state.String()))
		if opened.IsValid() {
			told = append(told, OpenedByTraceKey.String(opened.TraceID().String()))
			c.span.AddLink(trace.Link{SpanContext: opened, Attributes: linkOpened})
		}
	}
	note(c.span, eventRefused, told...)
}
