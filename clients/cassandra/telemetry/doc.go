// Package telemetry turns the requests of a Cassandra client into OpenTelemetry
// spans and metrics, by OpenTelemetry's conventions for databases and Cassandra.
//
//	tel, err := telemetry.New(telemetry.Config{TracerProvider: tracers, MeterProvider: meters})
//	session, err := cassandra.Connect(ctx, cassandra.Config{Observers: []cassandra.Observer{tel}, …})
//	err = tel.Watch(session) // gauges of the nodes as the session sees them
//
// A request is a client span. The guard's own telemetry (resilience/telemetry) makes
// the spans of calls and attempts around it. docs/reference/cassandra-telemetry.md
// lists every span, attribute and metric.
//
// # What this package may import
//
// The standard library, clients/cassandra, internal/oteltext, and the API of OpenTelemetry: not its SDK.
//
// # What it promises
//
// Providers are given: nothing is taken from OpenTelemetry's globals. No value of a
// statement, bound or written into its text, is in a span or a metric. Tables that are
// distinguished in metrics are bounded.
package telemetry
