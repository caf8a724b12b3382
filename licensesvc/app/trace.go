package app

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// CommitKey is the id of a commit. It is on the span of the request that promised something, and
// on that of the outbox that stored it later, so that each can be found from the other.
const CommitKey = attribute.Key("licensesvc.commit")

// carryOverSpan is the name of the span of an entry of the outbox.
const carryOverSpan = "outbox/carry-over"

func tracerOf(cfg Config) trace.Tracer {
	if cfg.Tracer == nil {
		return noop.NewTracerProvider().Tracer("")
	}
	return cfg.Tracer.Tracer("github.com/backstay-go/backstay/licensesvc/app")
}

// RequestTraceKey is the id of the trace of the request that put an entry into the outbox.
const RequestTraceKey = attribute.Key("licensesvc.request_trace")

// startCarryOver begins the span of an entry that is carried over. It links the request, whose
// trace id is also an attribute: after a restart only that is known.
func (s *Service) startCarryOver(ctx context.Context, c *command, request trace.SpanContext) (context.Context, trace.Span) {
	options := []trace.SpanStartOption{trace.WithAttributes(CommitKey.String(c.commit(0)), attribute.String("licensesvc.command", c.Name))}
	if request.IsValid() {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: request}))
	}
	if c.meta.Trace != "" {
		options = append(options, trace.WithAttributes(RequestTraceKey.String(c.meta.Trace)))
	}
	return s.tracer.Start(ctx, carryOverSpan, options...)
}

// endCarryOver ends it. A refusal is an answer of the rules, and no error.
func endCarryOver(span trace.Span, err error) {
	defer span.End()
	var refused *Refused
	switch {
	case err == nil:
		span.SetAttributes(attribute.String("licensesvc.outcome", "stored"))
	case errors.As(err, &refused):
		span.SetAttributes(attribute.String("licensesvc.outcome", "refused"))
	default:
		span.SetAttributes(attribute.String("licensesvc.outcome", "parked"))
		span.SetStatus(codes.Error, err.Error())
	}
}
