// Package h1 keeps connections of HTTP/1.1 without TLS and without a proxy, for
// clients/rest. The standard library makes them and speaks on them; which request uses
// which connection is decided here, so that nothing is repeated behind the guard's back.
// docs/decisions/0008-own-connections.md has the reasons.
//
// # What this package may import
//
// The standard library and clients/rest/internal/netconn.
//
// # What it promises
//
// A pool knows the request that uses a connection by the few methods of [User], and
// neither guards nor attempts. It starts no goroutine; its timers end with CloseIdle, and
// with the requests.
package h1
