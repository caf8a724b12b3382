package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

var carried = propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})

// Payload puts the context's trace and baggage, as W3C headers, into a request's custom
// payload, for cassandra.Config.Payload. Servers ignore it; a proxy that injects faults
// knows by it whose request it is, and its spans become part of the trace. The baggage
// goes to the cluster as it is: leave this out where it must not.
func Payload(ctx context.Context) map[string][]byte {
	if !trace.SpanContextFromContext(ctx).IsValid() && baggage.FromContext(ctx).Len() == 0 {
		return nil
	}
	headers := propagation.MapCarrier{}
	carried.Inject(ctx, headers)
	payload := make(map[string][]byte, len(headers))
	for key, value := range headers {
		payload[key] = []byte(value)
	}
	return payload
}
