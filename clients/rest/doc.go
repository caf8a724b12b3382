// Package rest makes HTTP calls that can't be made without a guard.
//
// [Transport] is an http.RoundTripper: an http.Client, a generated client or an SDK
// gains the guard by one line.
//
//	client := &http.Client{Transport: &rest.Transport{Guard: guard, Base: rest.NewBase(64)}}
//
// [Client] with [Get] and [Send] are typed JSON calls, whose result says where the
// value came from and how old it is.
//
// [Hosts] gives each host its own transport, [Balancer] spreads attempts over several
// addresses, package cache remembers answers. docs/how-to/call-rest-services.md shows
// which field does what.
//
// # What this package may import
//
// The standard library, package resilience and the packages below it that a client needs:
// cache and internal/wire.
//
// # What it promises
//
//   - The body stays readable after the call returned; the permit is held until its
//     end, a read error or Close, and comes back also from bodies that nobody closes.
//   - Repeated is what is idempotent (by method, by an Idempotency-Key, or because a
//     route with its method says so) or was certainly not processed; never a request
//     whose body can't be sent again. The standard transport's own repeats are
//     stopped, so that the guard's amplification bound holds.
//   - Retry-After is honoured in both forms. When no attempt is left, or none could
//     end in time, the last response is handed over, as a RoundTripper must.
//   - The caller's request is not changed; redirects are not followed; a body that was
//     given is closed on every path.
//   - 429, and 503 with Retry-After or Backstay-Refused, lower the limit and do not
//     open the breaker; other 5xx, timeouts and connection errors count against the
//     dependency; other 4xx do not.
package rest
