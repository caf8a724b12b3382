package tcptest

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Serve listens on loopback and serves each connection with do, which may leave it open,
// until the test ends. It returns the address. What is called after it ends before it.
func Serve(tb testing.TB, do func(net.Conn)) (address string) {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
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
	tb.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	return l.Addr().String()
}

// Echo sends back what comes. An error is how a fault ends the connection.
func Echo(c net.Conn) { _, _ = io.Copy(c, c) }

// Discard reads what comes, and answers nothing.
func Discard(c net.Conn) { _, _ = io.Copy(io.Discard, c) }
