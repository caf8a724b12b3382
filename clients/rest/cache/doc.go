// Package cache remembers the answers of HTTP servers, as a shared cache (RFC 9111),
// and serves them stale where that is allowed (RFC 5861) when the server fails.
// rest.Transport uses it by its field Cache.
//
// It is a shared one because a service carries the requests of many users: what was
// answered to one of them is given to another only if the server said that it may.
//
// # What this package may import
//
// The standard library.
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
//   - One fetch or refresh of an answer runs at a time; who comes meanwhile shares it, if
//     the answer is for them too. The end of one caller fails nobody else; a refresh in the
//     background has a context of its own.
//   - Memory is bounded in bytes. A body is stored when it has been read to its end, and is
//     not read ahead of its reader unless it is small.
package cache
