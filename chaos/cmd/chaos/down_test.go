package main

import (
	"context"
	"net"
	"strings"
	"testing"
)

// TestTheProxyRunsBeforeAnUpstreamThatIsDown: that is no error at the start; each
// connection is reported, and passes once the upstream is there.
func TestTheProxyRunsBeforeAnUpstreamThatIsDown(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	out, errs := &lines{ch: make(chan string, 20)}, &lines{ch: make(chan string, 200)}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, []string{"proxy", "--dependency", "d", "--upstream", addr, write(t, "rules: []")}, out, errs)
	}()
	proxy := after(t, out, "d at ")
	if greeted(proxy) {
		t.Error("a connection passed to nobody")
	}
	if reported := <-errs.ch; !strings.Contains(reported, "d: cannot reach the upstream") || !strings.Contains(reported, "refused") {
		t.Errorf("got %q", reported)
	}
	if l, err = net.Listen("tcp", addr); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("hello"))
			c.Close()
		}
	}()
	holds(t, "connections pass", func() bool { return greeted(proxy) })
	cancel()
	if status := <-done; status != 0 {
		t.Errorf("status %d", status)
	}
}
