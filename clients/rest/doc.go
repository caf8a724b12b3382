// Package rest makes HTTP calls that can't be made without a guard.
//
// [Transport] is an http.RoundTripper: an http.Client, a generated client or an SDK
// gains the guard by one line.
//
//	client := &http.Client{Transport: &rest.Transport{Guard: guard, Base: rest.NewBase(64)}}
//
// [Client] with [Get], [Send] and [Call] makes typed JSON calls, whose result says where
// the value came from and how old it is.
//
// [Hosts] gives each host its own transport, [Balancer] spreads attempts over several
// addresses, package cache remembers answers. docs/how-to/call-rest-services.md shows
// which field does what.
//
// # What this package may import
//
// The standard library, package resilience and the packages below it that a client needs:
// cache and the packages in internal.
//
// # What it promises
//
//   - The body stays readable after the call has returned. The permit is held until the
//     body's end, a read error or Close, and also comes back from a body that nobody closes.
//   - A request is repeated if its operation is idempotent and the request is: by its
//     method, by an Idempotency-Key, or because RepeatWithoutKey names it. A request that
//     was certainly not processed is repeated with any method. A request whose body can't
//     be sent again never is. The standard transport's own repeats are stopped, so that the
//     guard's amplification bound holds.
//   - Nothing that a caller sends, withholds or forgets counts against the dependency: not
//     a request that can't be sent, a body that breaks off or comes late, or connections
//     that other callers keep. Everything else does.
//   - Retry-After is honoured in both forms. When no attempt is left, or none could
//     end in time, the last response is handed over, as a RoundTripper must.
//   - The caller's request is not changed; redirects are not followed; a body that was
//     given is closed on every path.
//   - 429, 503 with Retry-After or Backstay-Refused, and streams that HTTP/2 refuses lower
//     the limit and do not open the breaker; other 5xx, timeouts and connection errors
//     count against the dependency; other 4xx count neither way, in typed calls and
//     through a Transport alike.
package rest
