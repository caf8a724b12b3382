package rest

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

// stale is a connection that has died, which shows only when it is used.
type stale struct {
	net.Conn
	dead *atomic.Bool
}

func (s *stale) Write(p []byte) (int, error) {
	if s.dead.Load() {
		return 0, errors.New("broken pipe")
	}
	return s.Conn.Write(p)
}

// TestUnsentRequestsChangeTheConnection: one on which nothing could be written is
// replaced, whatever the method is, and also if the body is a stream that can't be got
// again.
func TestUnsentRequestsChangeTheConnection(t *testing.T) {
	var attempts atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		attempts.Add(1)
		_, _ = io.Copy(w, r.Body)
	}))
	defer s.Close()
	for name, body := range map[string]func() io.Reader{
		"bytes":  func() io.Reader { return strings.NewReader("hello") },
		"stream": func() io.Reader { return io.MultiReader(strings.NewReader("hello")) },
		"none":   func() io.Reader { return nil },
	} {
		unsent := func(t *testing.T, own bool) {
			var mu sync.Mutex
			var conns []*stale
			watched := func(tr *http.Transport) {
				inner := new(net.Dialer).DialContext
				tr.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
					c, err := inner(ctx, network, address)
					one := &stale{c, new(atomic.Bool)}
					mu.Lock()
					conns = append(conns, one)
					mu.Unlock()
					return one, err
				}
			}
			standard := &http.Transport{}
			watched(standard)
			var b http.RoundTripper = standard
			if own {
				b = NewBase(8, watched)
			}
			defer b.(interface{ CloseIdleConnections() }).CloseIdleConnections()
			operation := resilience.OperationPolicy{Timeout: 9 * time.Second}
			if !own {
				operation.Idempotent, operation.Retry = true, &resilience.RetryPolicy{MaxAttempts: 2}
			}
			g, err := resilience.New(resilience.Policy{Name: "dep", Bulkhead: resilience.BulkheadPolicy{Limit: 8}, Default: operation})
			if err != nil {
				t.Fatal(err)
			}
			defer g.Close()
			post := func() {
				t.Helper()
				r, err := http.NewRequestWithContext(t.Context(), "POST", s.URL, body())
				if err != nil {
					t.Fatal(err)
				}
				resp, err := (&Transport{Guard: g, Base: b}).RoundTrip(r)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				got, err := io.ReadAll(resp.Body)
				if want := body(); err != nil || want != nil && string(got) != "hello" {
					t.Errorf("it brought %q, %v", got, err)
				}
			}
			post()
			mu.Lock()
			conns[0].dead.Store(true)
			mu.Unlock()
			before := attempts.Load()
			post()
			if n := attempts.Load() - before; n != 1 {
				t.Errorf("the server saw %d requests, want 1", n)
			}
		}
		t.Run(name, func(t *testing.T) { unsent(t, true) })
		// On a standard transport it is the guard that sends it again, if it can.
		if name != "stream" {
			t.Run(name+", net/http's", func(t *testing.T) { unsent(t, false) })
		}
	}
}

// TestASingleUseBody: closed once, and only when no other attempt may need it.
func TestASingleUseBody(t *testing.T) {
	for _, c := range []struct {
		name            string
		use             func(b *sentBody)
		before, settled int
	}{
		{"unread, closed", func(b *sentBody) { _ = b.Close() }, 0, 1},
		{"read, closed twice", func(b *sentBody) { _, _ = b.Read(nil); _ = b.Close(); _ = b.Close() }, 1, 1},
		{"not closed", func(b *sentBody) { _, _ = b.Read(nil) }, 0, 0},
	} {
		closed := 0
		r := &http.Request{Body: closing{strings.NewReader("x"), func() { closed++ }}}
		single := &singleUseBody{inner: r.Body}
		u := &upload{}
		if err := u.watch(r, single); err != nil {
			t.Fatal(err)
		}
		c.use(&u.first)
		if closed != c.before {
			t.Errorf("%s: closed %d times, want %d", c.name, closed, c.before)
		}
		single.settle()
		single.settle()
		if closed != c.settled {
			t.Errorf("%s: closed %d times in the end, want %d", c.name, closed, c.settled)
		}
	}
}

type closing struct {
	io.Reader
	closed func()
}

func (c closing) Close() error { c.closed(); return nil }
