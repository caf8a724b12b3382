// Package telemetry marks injected faults in traces and counts them, so that nobody
// takes one for a real failure.
//
//	faults, err := telemetry.New(meters, tracers)
//	injector, err := chaos.New(plan, chaos.Config{Listeners: []chaos.Listener{faults}})
//
// It may import the standard library, chaos, internal/oteltext and the API of OpenTelemetry.
//
// It promises: each fault that is injected within a span is an event chaos.fault on
// it, and outside of spans, as in a proxy, a span chaos.fault of its own if there is a
// tracer; each is counted, by rule, kind and dependency, whether there is a span or not.
package telemetry
