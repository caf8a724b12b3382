// Package oteltext makes texts what OpenTelemetry's protocol takes. One text that is no
// UTF-8 costs the whole batch of spans that it is in.
//
// It may import the standard library and OpenTelemetry's attributes. The packages that make
// spans and metrics import it.
package oteltext
