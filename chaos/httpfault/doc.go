// Package httpfault injects the faults of a plan into HTTP: as middleware before a
// server's handler, and as an http.RoundTripper inside a client.
//
//	handler = httpfault.Handler(handler, httpfault.Config{Dependency: "membership", Injector: injector})
//	client.Transport = httpfault.Transport(base, httpfault.Config{Dependency: "membership", Injector: injector})
//
// A request's identity and scopes come from its baggage header, and its attempt from the
// header Backstay-Attempt. Its trace comes from the header traceparent, so that listeners mark
// the fault in the trace of the request that it harmed. With the same seed, a request therefore gets the same faults in
// a client and in a server.
//
// It may import the standard library, chaos, chaos/internal, internal/headers and the API of
// OpenTelemetry.
//
// It promises: without open faults a request passes unchanged; a wait or a hang ends with
// the request's context or its rule, and a rule that has ended does not affect the rest of
// the answer; a reset is a real one; of the faults that do more than wait only the first
// one happens; no parameter of a rule is ignored; connections can be upgraded (WebSockets)
// under every rule that lets the handler answer, and no fault acts on them from then on.
package httpfault
