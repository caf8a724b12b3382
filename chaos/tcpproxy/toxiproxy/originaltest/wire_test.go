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

// exchange sends ten bytes twice, and tells what came back and how it ended.
func exchange(t *testing.T, addr string) (told string, took time.Duration) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	began, b := time.Now(), make([]byte, 10)
	for range 2 {
		_, _ = io.WriteString(c, "0123456789") // The connection may be gone; reading tells.
		if err := c.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		n, err := io.ReadFull(c, b)
		told += fmt.Sprintf("%q ", b[:n])
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return told + "silence", time.Since(began)
		case errors.Is(err, syscall.ECONNRESET):
			return told + "reset", time.Since(began)
		case err != nil:
			return told + "end", time.Since(began)
		}
	}
	return told, time.Since(began)
}

// TestToxicsDoTheSame: what a client gets of each toxic, and how long it takes at least.
func TestToxicsDoTheSame(t *testing.T) {
	theirs, ours := servers(t)
	for _, c := range []struct {
		kind       string
		attributes client.Attributes
		stream     string
		least      time.Duration
		differs    bool
	}{
		{"latency", client.Attributes{"latency": 100}, "downstream", 200 * time.Millisecond, false},
		{"latency", client.Attributes{"latency": 100}, "upstream", 200 * time.Millisecond, false},
		{"bandwidth", client.Attributes{"rate": 100}, "downstream", 0, false},
		{"slicer", client.Attributes{"average_size": 2, "delay": 1000}, "upstream", 0, false},
		{"slow_close", client.Attributes{"delay": 100}, "downstream", 0, false},
		{"timeout", client.Attributes{"timeout": 0}, "downstream", time.Second, false},
		{"timeout", client.Attributes{"timeout": 200}, "downstream", 200 * time.Millisecond, false},
		{"timeout", client.Attributes{"timeout": 200}, "upstream", 200 * time.Millisecond, false},
		{"limit_data", client.Attributes{"bytes": 0}, "downstream", 0, false},
		{"limit_data", client.Attributes{"bytes": 4}, "downstream", 0, false},
		{"limit_data", client.Attributes{"bytes": 10}, "downstream", 0, false},
		{"limit_data", client.Attributes{"bytes": 15}, "downstream", 0, false},
		{"limit_data", client.Attributes{"bytes": 15}, "upstream", 0, false},
		{"reset_peer", client.Attributes{"timeout": 0}, "downstream", 0, false},
		{"reset_peer", client.Attributes{"timeout": 200}, "upstream", 200 * time.Millisecond, false},
	} {
		var told [2]string
		for i, base := range []string{theirs, ours} {
			p, err := client.NewClient(strings.TrimPrefix(base, "http://")).CreateProxy("p", "127.0.0.1:0", tcptest.Serve(t, tcptest.Echo))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.AddToxic("", c.kind, c.stream, 1, c.attributes); err != nil {
				t.Fatal(err)
			}
			var took time.Duration
			if told[i], took = exchange(t, p.Listen); took < c.least {
				t.Errorf("%s %s %v at %d took %s, less than %s", c.kind, c.stream, c.attributes, i, took, c.least)
			}
			if err := p.Delete(); err != nil {
				t.Fatal(err)
			}
		}
		if (told[0] == told[1]) == c.differs {
			t.Errorf("%s %s %v\nToxiproxy %s\nours      %s", c.kind, c.stream, c.attributes, told[0], told[1])
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
