// Package tcpproxy stands between a client and a server on TCP and does to the
// bytes what a plan says.
//
// A fault acts on connections that live when its window opens as well as on new
// ones, and ends with its window: a hung connection goes on where it stood, in
// order and without loss. Chances are rolled once a connection.
//
//	proxy, err := tcpproxy.Start(ctx, tcpproxy.Config{Dependency: "catalog", Upstream: "127.0.0.1:7001", Injector: injector})
//	client dials proxy.Addr()
//
// It may import the standard library and chaos.
//
// It promises: without open faults bytes pass as they are; once a plan was set, no
// byte that comes later meets the old one; a reset is a real one (RST); Close ends
// every connection and returns when its goroutines have ended.
package tcpproxy
