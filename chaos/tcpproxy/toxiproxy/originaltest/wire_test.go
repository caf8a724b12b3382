package originaltest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	client "github.com/Shopify/toxiproxy/v2/client"

	"github.com/backstay-go/backstay/chaos/internal/tcptest"
)

// exchange sends ten bytes and reads ten, up to so many times, then reads on to the end
// if there is one to come. It tells what came back and how it ended.
//
// A client that sends while the proxy closes gets a reset where another gets the end:
// bytes that nobody read make the kernel of a closed socket say so. Where a toxic ends a
// connection after bytes, the client sends no more than these.
func exchange(t *testing.T, addr string, times int, ends bool) (reported string, took time.Duration) {
	t.Helper()
	began, b := time.Now(), make([]byte, 10) // The proxy may accept before Dial returns.
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := 0; i < times || ends; i++ {
		var sent error
		if i < times {
			_, sent = io.WriteString(c, "0123456789")
		}
		if err := c.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		n, err := io.ReadFull(c, b)
		reported += fmt.Sprintf("%q ", b[:n])
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return reported + "silence", time.Since(began)
		case errors.Is(err, syscall.ECONNRESET), errors.Is(sent, syscall.ECONNRESET): // The error is reported once, to the first call.
			return reported + "reset", time.Since(began)
		case err != nil:
			return reported + "end", time.Since(began)
		}
	}
	return reported, time.Since(began)
}

// TestToxicsDoTheSame: what a client gets of each toxic, and how long it takes at least.
func TestToxicsDoTheSame(t *testing.T) {
	theirs, ours := servers(t)
	for _, c := range []struct {
		kind       string
		attributes client.Attributes
		stream     string
		least      time.Duration
		sends      int
		ends       bool
	}{
		{"latency", client.Attributes{"latency": 100}, "downstream", 200 * time.Millisecond, 2, false},
		{"latency", client.Attributes{"latency": 100}, "upstream", 200 * time.Millisecond, 2, false},
		{"bandwidth", client.Attributes{"rate": 100}, "downstream", 0, 2, false},
		{"slicer", client.Attributes{"average_size": 2, "delay": 1000}, "upstream", 0, 2, false},
		{"slow_close", client.Attributes{"delay": 100}, "downstream", 0, 2, false},
		{"timeout", client.Attributes{"timeout": 0}, "downstream", time.Second, 1, true},
		{"timeout", client.Attributes{"timeout": 200}, "downstream", 200 * time.Millisecond, 1, true},
		{"timeout", client.Attributes{"timeout": 200}, "upstream", 200 * time.Millisecond, 1, true},
		{"limit_data", client.Attributes{"bytes": 0}, "downstream", 0, 1, true},
		{"limit_data", client.Attributes{"bytes": 4}, "downstream", 0, 1, true},
		{"limit_data", client.Attributes{"bytes": 10}, "downstream", 0, 1, true},
		{"limit_data", client.Attributes{"bytes": 15}, "downstream", 0, 2, true},
		{"reset_peer", client.Attributes{"timeout": 0}, "downstream", 0, 1, true},
		{"reset_peer", client.Attributes{"timeout": 200}, "upstream", 200 * time.Millisecond, 1, true},
	} {
		var reported [2]string
		for i, base := range []string{theirs, ours} {
			p, err := client.NewClient(strings.TrimPrefix(base, "http://")).CreateProxy("p", "127.0.0.1:0", tcptest.Serve(t, tcptest.Echo))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.AddToxic("", c.kind, c.stream, 1, c.attributes); err != nil {
				t.Fatal(err)
			}
			var took time.Duration
			if reported[i], took = exchange(t, p.Listen, c.sends, c.ends); took < c.least {
				t.Errorf("%s %s %v at %d took %s, less than %s", c.kind, c.stream, c.attributes, i, took, c.least)
			}
			if err := p.Delete(); err != nil {
				t.Fatal(err)
			}
		}
		if reported[0] != reported[1] {
			t.Errorf("%s %s %v\nToxiproxy %s\nours      %s", c.kind, c.stream, c.attributes, reported[0], reported[1])
		}
	}
}

// TestWhatALimitLetsThrough: upstream, where a client may not live to see an answer.
func TestWhatALimitLetsThrough(t *testing.T) {
	theirs, ours := servers(t)
	for _, bytes := range []int{0, 4, 10, 15} {
		for name, base := range map[string]string{"Toxiproxy": theirs, "ours": ours} {
			got := make(chan int64, 1)
			p, err := client.NewClient(strings.TrimPrefix(base, "http://")).CreateProxy("p", "127.0.0.1:0", tcptest.Serve(t, func(c net.Conn) {
				n, _ := io.Copy(io.Discard, c) // However it ends: the bytes count.
				got <- n
			}))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.AddToxic("", "limit_data", "upstream", 1, client.Attributes{"bytes": bytes}); err != nil {
				t.Fatal(err)
			}
			c, err := net.Dial("tcp", p.Listen)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(c, "01234567890123456789"); err != nil {
				t.Fatal(err)
			}
			if n := <-got; n != int64(bytes) {
				t.Errorf("%s: %d bytes of %d", name, n, bytes)
			}
			if err := errors.Join(c.Close(), p.Delete()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestAResetOfALiveConnection: a toxic that is added to a connection that lives. Ours is
// a real reset.
func TestAResetOfALiveConnection(t *testing.T) {
	theirs, ours := servers(t)
	for name, c := range map[string]struct {
		base string
		want error
	}{"Toxiproxy": {theirs, io.EOF}, "ours": {ours, syscall.ECONNRESET}} {
		p, err := client.NewClient(strings.TrimPrefix(c.base, "http://")).CreateProxy("p", "127.0.0.1:0", tcptest.Serve(t, tcptest.Echo))
		if err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("tcp", p.Listen)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		talk := func() error {
			if _, err := io.WriteString(conn, "x"); err != nil {
				return err
			}
			_, err := conn.Read(make([]byte, 1))
			return err
		}
		if err := talk(); err != nil {
			t.Fatalf("%s, before: %v", name, err)
		}
		if _, err := p.AddToxic("", "reset_peer", "downstream", 1, client.Attributes{"timeout": 0}); err != nil {
			t.Fatal(err)
		}
		for err == nil { // It may take a moment.
			err = talk()
		}
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}
