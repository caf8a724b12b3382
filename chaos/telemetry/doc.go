// Package telemetry marks injected faults in traces and counts them, so that nobody mistakes
// one for a real failure.
//
//	faults, err := telemetry.New(meters, tracers)
//	injector, err := chaos.New(plan, chaos.Config{Listeners: []chaos.Listener{faults}})
//
// It may import the standard library, chaos, internal/oteltext and the API of OpenTelemetry.
//
// It promises: a fault that is injected within a span becomes an event chaos.fault on that
// span. A fault outside of spans, as in a proxy, becomes a separate span chaos.fault if there
// is a tracer. Every fault is counted by rule, kind and dependency, whether there is a span or
// not.
package telemetry
