// Package tcpproxy is a proxy between a TCP client and a TCP server. It applies the faults
// of a plan to their bytes.
//
// A fault acts on new connections and on those that are open when its window begins. It
// ends with its rule: when the window or the ttl is over, or the rule is removed or
// changed, all bytes that it held pass at once, in order and without loss. The chance of
// a rule is drawn once per connection.
//
// Each kind of fault is one file, named after it; effect.go has the table.
//
//	proxy, err := tcpproxy.Start(ctx, tcpproxy.Config{Dependency: "catalog", Upstream: "127.0.0.1:7001", Injector: injector})
//	client dials proxy.Addr()
//
// It may import the standard library, chaos and chaos/internal.
//
// It promises: without open faults bytes pass unchanged; after a plan was set, the old plan
// does not apply to bytes that arrive later; bytes that one side sent before it closed or
// reset its connection still reach the other side; a reset is a real one (RST); Close ends
// every connection and returns when its goroutines have ended.
package tcpproxy
