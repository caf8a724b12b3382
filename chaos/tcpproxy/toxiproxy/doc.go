// Package toxiproxy is Toxiproxy's HTTP interface for tcpproxy: what drives
// Toxiproxy drives this, with its routes, status codes and error bodies.
//
//	api, err := toxiproxy.New(ctx, toxiproxy.Config{Seed: 7})
//	http.Serve(loopback, api)
//
// It differs where Toxiproxy is wrong: a seed gives the same connections the same
// toxics, toxicity is rolled once a connection, and a reset is a real one. A toxic
// ends by itself after 24 hours. It adds GET /proxies/{proxy}/connections: the open
// connections, with the toxics that were applied to each.
//
// It may import the standard library, chaos and chaos/tcpproxy.
//
// It promises: a request about a toxic that is refused changes nothing; a list to
// populate that can not be read makes nothing, but one whose address is taken stops
// there and keeps what came before, as Toxiproxy does; Close ends every proxy. Without
// a token the interface is for loopback only.
package toxiproxy
