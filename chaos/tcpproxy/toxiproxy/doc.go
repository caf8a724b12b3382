// Package toxiproxy is Toxiproxy's HTTP interface for tcpproxy. It has the same routes,
// status codes and error bodies, so clients of Toxiproxy can use it unchanged.
//
//	api, err := toxiproxy.New(ctx, toxiproxy.Config{Seed: 7})
//	http.Serve(loopback, api)
//
// It differs where Toxiproxy is wrong: with the same seed, the same connections get the
// same toxics; toxicity is drawn once per connection, and again when it is changed; a reset
// is a real one; values that would overflow are refused. A toxic ends by itself after 24
// hours. Two things are added: GET /proxies/{proxy}/connections lists the open connections
// with the toxics that acted on each, and every kind of fault on TCP is a toxic type.
//
// Each type of toxic is one file, named after it; types.go has the table.
//
// It may import the standard library, chaos and chaos/tcpproxy.
//
// It promises: a request that is refused gets an error and its status, and changes
// nothing. There is one exception, as in Toxiproxy: if an address in a list to populate is
// in use, populating stops there, and the proxies before it in the list are kept. Close ends
// every proxy. Without a token the interface must be used on loopback only.
package toxiproxy
