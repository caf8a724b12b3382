// Package h1 keeps connections of HTTP/1.1 without TLS and without a proxy, for
// clients/rest. The standard library makes the connections and speaks the protocol.
// This package decides which request uses which connection, so that nothing is repeated
// without the guard. docs/decisions/0008-own-connections.md has the reasons.
//
// # What this package may import
//
// The standard library and clients/rest/internal/netconn.
//
// # What it promises
//
// A pool knows the request that uses a connection only by the few methods of [User]; it
// knows neither guards nor attempts. It starts no goroutine. Its timers end with
// CloseIdle and with the requests.
package h1
