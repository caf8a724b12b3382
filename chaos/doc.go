// Package chaos is one language for faults and the part that decides, for each
// call, which of them happens to it.
//
// A [Plan] is data: a seed and rules. A [Rule] says where (dependency, operation,
// protocol, node), when (a window from the plan's start, the nth call, after n
// calls, with a ramp, repeating), how often (probability, count), what (a [Kind]
// with its parameters) and whom (only requests that carry a scope in their trace
// baggage). Plans come from YAML, JSON or Go, and print as text that parses to
// them.
//
// An [Injector] runs a plan. Its decision is a fixed hash of seed, rule, request
// identity and attempt: the same seed gives the same faults whatever the order
// of goroutines was, in another process and in another year. It knows faults but
// not how to apply them; that is the work of five places: this package for
// functions ([Do], [Point]), httpfault for HTTP, tcpproxy for TCP, cqlproxy for
// Cassandra's protocol, cluster for real nodes.
//
// Promises: nothing happens before [Injector.Start]; every rule has an end; a
// process that sets BACKSTAY_CHAOS=off gets [ErrOff] instead of an injector; each
// injected fault is reported to the listeners; while the injector is off, a call costs a
// few nanoseconds and no allocation.
//
// It may import the standard library, internal/strictyaml, internal/suggest and OpenTelemetry's baggage.
package chaos
