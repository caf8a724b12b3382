// Package telemetry turns the events of resilience guards into OpenTelemetry
// spans and metrics.
//
//	tel, err := telemetry.New(telemetry.Config{TracerProvider: tracers, MeterProvider: meters})
//	guard, err := resilience.New(policy, resilience.WithListener(tel))
//	err = tel.Watch(guard) // gauges: breaker state, permits, budget
//
// One call through a guard is one span, whose children are its attempts, its wait
// for a permit and its pauses between attempts, so that a trace shows where the
// time went. Spans that the call itself makes (HTTP, CQL) are children of their
// attempt. docs/reference/telemetry.md lists every span, attribute and metric.
//
// # What this package may import
//
// The standard library, resilience, internal/oteltext, and the API of OpenTelemetry: not
// its SDK, which is the program's choice.
//
// # What it promises
//
// Providers come from the configuration: nothing is taken from OpenTelemetry's globals. The
// number of different names and metric attributes is bounded, whatever the policies are
// called. A call that is not sampled costs two allocations, which are the tracer's, and two
// measurements. Config.Histograms makes the measurements cheap.
package telemetry
