package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/propagation"
)

var carried = propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})

// Payload puts the context's trace and baggage, as W3C headers, into a request's custom
// payload, for cassandra.Config.Payload. Servers ignore it; a proxy that injects faults
// knows by it whose request it is, and its spans become part of the trace. The baggage
// goes to the cluster as it is: leave this out where it must not.
func Payload(ctx context.Context) map[string][]byte {
	headers := propagation.MapCarrier{}
	carried.Inject(ctx, headers)
	if len(headers) == 0 {
		return nil
	}
	payload := make(map[string][]byte, len(headers))
	for key, value := range headers {
		payload[key] = []byte(value)
	}
	return payload
}
