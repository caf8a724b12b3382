// Package oteltext makes texts acceptable to OpenTelemetry's protocol. A single text that is not
// valid UTF-8 would cost the whole batch of spans that contains it.
//
// It may import the standard library and OpenTelemetry's attributes. The packages that make spans
// and metrics import it.
package oteltext
