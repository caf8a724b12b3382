// Package cache remembers the answers of HTTP servers, as a shared cache (RFC 9111),
// and serves them stale where that is allowed (RFC 5861) when the server fails.
// rest.Transport uses it by its field Cache.
//
// It is a shared one because a service carries the requests of many users: what was
// answered to one of them is given to another only if the server said that it may.
//
// # What this package may import
//
// The standard library, package resilience and internal/lru.
//
// # What it promises
//
//   - An answer to a request with credentials (Authorization, Cookie, an API key) is
//     kept, and used for one, only if it is public, or has s-maxage or must-revalidate
//     (RFC 9111, section 3.5). An answer that sets a cookie, or is private or no-store,
//     is not kept.
//   - Nothing is served stale against no-cache, must-revalidate, proxy-revalidate or
//     s-maxage, unless the configuration overrides them by name; for how long, the
//     answer's stale-while-revalidate and stale-if-error say, or the configuration.
//   - An answer from here has its Age, counting what it had when it came, and a
//     Cache-Status (RFC 9211). [Of] reads it.
//   - One fetch or refresh of an answer runs at a time, whatever its length; requests that
//     come meanwhile wait for it, if it is not treated worse than they would be (its class,
//     its repeats), and share the answer if it is for them too. What concerns the first
//     caller alone (its deadline, its time-out, a refusal, a body that it leaves) fails
//     nobody else: those who waited fetch anew. A failure of the server is shared. A
//     refresh in the background has a context of its own.
//   - An answer that is older than what is kept, or from before a change of its address,
//     is not kept. A change is an unsafe request that succeeded, or whose outcome is unknown.
//   - Memory is bounded in bytes, the request fields that chose an answer included. A body
//     is stored when it has been read to its end; it is read ahead of its reader only while
//     others wait for it, and for a moment when it is closed just before its end.
//   - An answer with a Content-Encoding is for requests with the same Accept-Encoding only,
//     whether or not its server says so in Vary.
//
// # What it does not do
//
// It guesses no lifetimes from Last-Modified (RFC 9111, section 4.2.2): a service that
// must decide on data would decide on a guess. It answers no requests for ranges, and
// keeps no partial answers: services ask for whole documents.
package cache
