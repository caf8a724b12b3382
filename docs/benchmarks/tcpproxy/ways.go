package main

import (
	"context"
	"io"
	"net"
	"sync"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/backstay-go/backstay/chaos/tcpproxy"
)

// way is a way to a server; start returns the address to dial.
type way struct {
	name  string
	start func(ctx context.Context, upstream string) (string, error)
}

const relayed = "plain `io.Copy` relay"

var ways = []way{
	{"directly", func(_ context.Context, upstream string) (string, error) { return upstream, nil }},
	{relayed, func(ctx context.Context, upstream string) (string, error) { return serve(ctx, relay(upstream)) }},
	{"`chaos/tcpproxy`", func(ctx context.Context, upstream string) (string, error) {
		p, err := tcpproxy.Start(ctx, tcpproxy.Config{Dependency: "d", Upstream: upstream})
		if err != nil {
			return "", err
		}
		context.AfterFunc(ctx, func() { _ = p.Close() })
		return p.Addr(), nil
	}},
	{"Toxiproxy 2.12.0", func(ctx context.Context, upstream string) (string, error) {
		server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
		p := toxiproxy.NewProxy(server, "d", "127.0.0.1:0", upstream)
		if err := p.Start(); err != nil {
			return "", err
		}
		context.AfterFunc(ctx, p.Stop)
		return p.Listen, nil
	}},
}

// serve does to each connection what do says, until the context ends.
func serve(ctx context.Context, do func(net.Conn)) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	context.AfterFunc(ctx, func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				do(c)
			}()
		}
	}()
	return l.Addr().String(), nil
}

// servers are one that echoes, and one that says a byte when a transfer has arrived.
func servers(ctx context.Context) (echo, sink string, err error) {
	if echo, err = serve(ctx, func(c net.Conn) { _, _ = io.Copy(c, c) }); err != nil {
		return "", "", err
	}
	sink, err = serve(ctx, func(c net.Conn) {
		for {
			if _, err := io.CopyN(io.Discard, c, transfer); err != nil {
				return
			}
			if _, err := c.Write([]byte{1}); err != nil {
				return
			}
		}
	})
	return echo, sink, err
}

// relay is the plain relay that the proxies are held against.
func relay(upstream string) func(net.Conn) {
	return func(c net.Conn) {
		up, err := net.Dial("tcp", upstream)
		if err != nil {
			return
		}
		defer up.Close()
		var wg sync.WaitGroup
		wg.Go(func() {
			_, _ = io.Copy(up, c)
			_ = up.(*net.TCPConn).CloseWrite()
		})
		_, _ = io.Copy(c, up)
		wg.Wait()
	}
}
