// Package cache is a shared HTTP cache (RFC 9111) for clients. When the server fails, it
// serves stale responses where that is allowed (RFC 5861). rest.Transport uses it in its
// field Cache.
//
// It is a shared cache because a service sends the requests of many users. A response to one
// of them is served to another only if the server has said that this is allowed.
//
// # What this package may import
//
// The standard library, package resilience and internal/lru.
//
// # What it promises
//
//   - A response to a request with credentials (Authorization, Cookie, an API key) is
//     stored, and serves another such request, only if it is public, or has s-maxage or
//     must-revalidate (RFC 9111, section 3.5). A response that sets a cookie, or is private
//     or no-store, is not stored.
//   - Responses with no-cache, must-revalidate, proxy-revalidate or s-maxage are not served
//     stale, unless Config.Override lists the directive. How long others may be served stale
//     is stated by their stale-while-revalidate and stale-if-error, or by the configuration.
//   - A response from the cache has an Age, which includes the age that it had on arrival,
//     and a Cache-Status (RFC 9211). [Of] reads it.
//   - One fetch or refresh of a response runs at a time, whatever its length. Requests that
//     arrive meanwhile wait for it and share the response, if it may serve them. A request
//     does not wait for a fetch that is treated worse than itself (a lower class, no
//     repeats). A fetch that ends for a reason of its own caller (a deadline, a timeout, a
//     refusal, an abandoned body) does not fail the requests that wait: they fetch again.
//     Only a failure of the server is shared. A background refresh does not depend on the
//     request that triggered it.
//   - A request waits for the fetch of another for as long as its own context allows: the
//     timeouts of its operation begin with a fetch of its own. Give each request a deadline.
//   - A stale response stands in for a failure of the server, a refusal of the guard, and
//     a deadline that has passed. A request that was cancelled, or that can't be sent, ends
//     in its error.
//   - A response that is older than the stored one, or that was requested before its address
//     changed, is not stored. A change is an unsafe request that succeeded, or whose outcome
//     is unknown.
//   - Memory is limited in bytes, including the request fields that selected a response. A
//     body is stored when it has been read to its end. It is read ahead of its reader only
//     while other requests wait for it, and for at most 50 ms when it is closed early.
//   - A response with a Content-Encoding serves only requests with the same Accept-Encoding,
//     whether or not the server says so in Vary.
//
// # What it does not do
//
// It computes no heuristic lifetimes from Last-Modified (RFC 9111, section 4.2.2), because a
// service must not decide on data whose age nobody has allowed. It does not answer range
// requests and does not store partial responses, because services request whole documents.
package cache
