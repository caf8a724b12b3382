// Package toxiproxy is Toxiproxy's HTTP interface for tcpproxy: what drives
// Toxiproxy drives this, with its routes, status codes and error bodies.
//
//	api, err := toxiproxy.New(ctx, toxiproxy.Config{Seed: 7})
//	http.Serve(loopback, api)
//
// It differs where Toxiproxy is wrong: a seed gives the same connections the same
// toxics; toxicity is rolled once per connection, and again when it is changed; a reset is
// a real one; values that would overflow are refused. A toxic ends by itself after 24
// hours. Two things are added: GET /proxies/{proxy}/connections lists the open connections
// with the toxics that acted on each, and every kind of fault on TCP is a toxic type.
//
// Each type of toxic is one file, named after it; types.go has the table.
//
// It may import the standard library, chaos and chaos/tcpproxy.
//
// It promises: a request that is refused gets an error and its status, and changes
// nothing. There is one exception, which is Toxiproxy's: a list to populate that meets an
// address in use stops there and keeps the proxies before it. Close ends every proxy.
// Without a token the interface is for loopback only.
package toxiproxy
