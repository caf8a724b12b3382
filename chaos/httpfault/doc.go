// Package httpfault injects the faults of a plan into HTTP: as middleware before a
// server's handler, and as an http.RoundTripper inside a client.
//
//	handler = httpfault.Handler(handler, httpfault.Config{Dependency: "membership", Injector: injector})
//	client.Transport = httpfault.Transport(base, httpfault.Config{Dependency: "membership", Injector: injector})
//
// A request's identity and scopes come from its baggage header, its attempt from
// Backstay-Attempt, so that one seed gives one request the same faults wherever it
// is asked.
//
// It may import the standard library and chaos.
//
// It promises: without open faults a request passes unchanged; a wait or a hang ends with
// the request's context and with its rule, and a rule that has ended does nothing to what
// is still to come; a reset is a real one; of the faults that do more than wait the first
// one wins; no parameter of a rule is ignored; connections can be upgraded (WebSockets)
// under every rule that lets the handler answer, and are left alone from then on.
package httpfault
