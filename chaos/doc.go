// Package chaos has the language in which faults are described, and the injector that
// decides which faults happen to each call.
//
// A [Plan] is data: a seed and rules. A [Rule] says where (dependency, operation,
// protocol, node), when (a window from the plan's start, the nth call, after n
// calls, with a ramp, repeating), how often (probability, count), what (a [Kind]
// with its parameters) and whom (only requests that carry a scope in their trace
// baggage). Plans are written in YAML, JSON or Go. A plan prints as text that parses to
// the same plan.
//
// An [Injector] runs a plan. Its decision is a fixed hash of seed, rule, request
// identity and attempt. So the same seed gives the same faults for any order of
// goroutines, in another process, and years later. The injector decides about faults but
// does not apply them. Five packages do that: this package for functions ([Do], [Point]),
// httpfault for HTTP, tcpproxy for TCP, cqlproxy for Cassandra's protocol, and cluster for
// real nodes.
//
// It promises: nothing happens before [Injector.Start]; every rule has an end; a
// process that sets BACKSTAY_CHAOS=off gets [ErrOff] instead of an injector; each
// injected fault is reported to the listeners; while the injector is off, a call costs a
// few nanoseconds and no allocation.
//
// It may import the standard library, internal/strictyaml, internal/suggest and OpenTelemetry's baggage.
package chaos
