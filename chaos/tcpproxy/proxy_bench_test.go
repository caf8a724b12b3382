package tcpproxy_test

import (
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/backstay-go/backstay/chaos/tcpproxy"
)

// listen serves each connection with do until the benchmark ends.
func listen(b *testing.B, do func(net.Conn)) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				do(c)
			})
		}
	})
	b.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	return l.Addr().String()
}

// relay is the plain relay that the proxy is held against.
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

// BenchmarkRelay holds the proxy without faults against a plain io.Copy relay.
func BenchmarkRelay(b *testing.B) {
	for _, way := range []string{"plain", "proxy"} {
		through := func(b *testing.B, upstream string) net.Conn {
			addr := ""
			if way == "plain" {
				addr = listen(b, relay(upstream))
			} else {
				p, err := tcpproxy.Start(b.Context(), tcpproxy.Config{Dependency: "d", Upstream: upstream})
				if err != nil {
					b.Fatal(err)
				}
				b.Cleanup(func() { p.Close() })
				addr = p.Addr()
			}
			c, err := net.Dial("tcp", addr)
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { c.Close() })
			return c
		}
		b.Run("pingpong/"+way, func(b *testing.B) {
			c := through(b, listen(b, func(c net.Conn) { _, _ = io.Copy(c, c) }))
			buf, took := make([]byte, 64), make([]time.Duration, 0, 1<<16)
			for b.Loop() {
				began := time.Now()
				if _, err := c.Write(buf); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(c, buf); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1e3, "p50-µs")
		})
		b.Run("throughput/"+way, func(b *testing.B) {
			c := through(b, listen(b, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }))
			buf := make([]byte, 256<<10)
			b.SetBytes(int64(len(buf)))
			for b.Loop() {
				if _, err := c.Write(buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
