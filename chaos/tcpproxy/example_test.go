package tcpproxy_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/tcpproxy"
)

const catalogPlan = `
name: the way to the catalog
seed: 3
rules:
  - name: first connection refused
    where: {dependency: catalog, protocol: tcp}
    when: {first: 1}
    what: {kind: refuse}
  - name: slow line
    where: {dependency: catalog, protocol: tcp}
    when: {from: 10s, to: 40s}
    what: {kind: latency, delay: 100ms, jitter: 20ms, direction: both}
  - name: every third connection is gone without a word
    where: {dependency: catalog, protocol: tcp}
    when: {from: 60s, every: 3}
    what: {kind: half_open, after_bytes: 4096}
    ttl: 1m
`

func Example() {
	upstream, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer upstream.Close()
	go greet(upstream)

	plan, err := chaos.Parse("catalog.yaml", []byte(catalogPlan))
	if err != nil {
		log.Fatal(err)
	}
	injector, err := chaos.New(plan, chaos.Config{})
	if err != nil {
		log.Fatal(err)
	}
	proxy, err := tcpproxy.Start(context.Background(), tcpproxy.Config{
		Dependency: "catalog", Upstream: upstream.Addr().String(), Injector: injector,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer proxy.Close()
	injector.Start()
	defer injector.Stop()

	for range 2 {
		text, err := read(proxy.Addr())
		fmt.Printf("%q, failed: %t\n", text, err != nil)
	}
	// Output:
	// "", failed: true
	// "hello", failed: false
}

// read reads what a server says until it ends the connection.
func read(addr string) ([]byte, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return io.ReadAll(conn)
}

// greet says hello to each connection, and ends it.
func greet(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, "hello")
		_ = conn.Close()
	}
}
