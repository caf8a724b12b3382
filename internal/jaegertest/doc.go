// Package jaegertest gives tests a real Jaeger, and asks it what it received.
//
//	jaeger := jaegertest.Start(t)
//	tracers := jaeger.TracerProvider(t, "licensesvc")
//	… one request, whose root span is span …
//	trace := jaeger.Trace(t, span.SpanContext().TraceID(), "POST /licenses", "catalog/plan attempt")
//	t.Log(trace)                                      // the tree, as text
//	trace.One(t, "catalog/plan").Want(t, "backstay.source=stale")
//
// Jaeger (all-in-one, with its own module's versions, which are no dependency of
// ours) is built from its Go module on first use: 2 to 4 minutes on 2 cores,
// nothing after that. The program is kept in testenv.CacheDir. Several test
// binaries may want it at once: a lock on a file lets one build and the others
// wait. Version 1 of Jaeger is used because version 2 takes twice as long to build
// and answers the same queries.
//
// Only tests import this package; it may import the standard library, testenv and
// OpenTelemetry. It promises that no Jaeger outlives its test: it is killed at the
// test's end, and on Linux by the kernel if the test process dies.
package jaegertest
