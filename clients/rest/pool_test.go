package rest

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

// pooling is a base with so many connections, its pool, and a server's address.
func pooling(t *testing.T, limit int, h http.HandlerFunc) (*Base, *url.URL) {
	t.Helper()
	s := httptest.NewServer(h)
	b := NewBase(limit)
	t.Cleanup(func() {
		b.CloseIdleConnections()
		s.Close()
	})
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return b, u
}

// tried is an attempt that waits no longer than this.
func tried(t *testing.T, d time.Duration) *attempt {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	a := new(attempt)
	a.begin(ctx, ctx, wired{}, true)
	return a
}

// until waits for a condition.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		<-time.After(time.Millisecond)
	}
}

func (p *pool) count(host string) (open, idle, waiting int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if h := p.hosts[host]; h != nil {
		return h.open, len(h.idle), len(h.waiting)
	}
	return 0, 0, 0
}

// TestPoolWaitsInTurn: with as many connections as may be, requests wait in the order
// in which they came, and who leaves takes nothing along.
func TestPoolWaitsInTurn(t *testing.T) {
	b, u := pooling(t, 2, func(http.ResponseWriter, *http.Request) {})
	p := b.pool
	take := func(d time.Duration) (*connection, error) { return p.take(tried(t, d), u) }
	first, err := take(time.Minute)
	second, err2 := take(time.Minute)
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	if _, err := take(10 * time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the third got %v, want the deadline", err)
	}
	var mu sync.Mutex
	var order []int
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			c, err := take(time.Minute)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			order = append(order, i)
			mu.Unlock()
			p.give(c)
		})
		until(t, "one more waits", func() bool { _, _, n := p.count(u.Host); return n == i+1 })
	}
	p.give(first)
	wg.Wait()
	if !slices.Equal(order, []int{0, 1, 2, 3}) {
		t.Errorf("they were served in the order %v", order)
	}
	// A connection that is lost makes room for another.
	third, err := take(time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan error)
	go func() {
		c, err := take(time.Minute)
		if err == nil {
			p.give(c)
		}
		got <- err
	}()
	until(t, "one waits", func() bool { _, _, n := p.count(u.Host); return n == 1 })
	p.lose(second)
	p.lose(second)
	if err := <-got; err != nil {
		t.Error(err)
	}
	p.give(third)
	if open, idle, waiting := p.count(u.Host); open != 2 || idle != 2 || waiting != 0 {
		t.Errorf("%d connections, %d idle, %d waiting; want 2, 2, 0", open, idle, waiting)
	}
	b.CloseIdleConnections()
	if open, _, _ := p.count(u.Host); open != 0 || len(p.hosts) != 0 {
		t.Errorf("%d connections are left, %d hosts", open, len(p.hosts))
	}
}

// TestPoolForgetsDialsThatFail: each gives its place to the next.
func TestPoolForgetsDialsThatFail(t *testing.T) {
	refused := errors.New("refused")
	gate := make(chan struct{})
	b := NewBase(2, func(tr *http.Transport) {
		tr.DialContext = func(context.Context, string, string) (net.Conn, error) {
			<-gate
			return nil, refused
		}
	})
	u := &url.URL{Scheme: "http", Host: "nobody.test"}
	got := make(chan error)
	for range 5 {
		go func() {
			_, err := b.pool.take(tried(t, time.Minute), u)
			got <- err
		}()
	}
	until(t, "three wait", func() bool { open, _, n := b.pool.count(u.Host); return open == 2 && n == 3 })
	close(gate)
	for range 5 {
		if err := <-got; !errors.Is(err, refused) {
			t.Errorf("a dial ended in %v", err)
		}
	}
	if len(b.pool.hosts) != 0 {
		t.Errorf("%d hosts are left", len(b.pool.hosts))
	}
}

// TestPoolClosesWhatIsIdle: after IdleConnTimeout, and nothing earlier.
func TestPoolClosesWhatIsIdle(t *testing.T) {
	b, u := pooling(t, 4, func(http.ResponseWriter, *http.Request) {})
	b.pool.idle = 50 * time.Millisecond
	started := time.Now()
	one, err := b.pool.take(tried(t, time.Minute), u)
	two, err2 := b.pool.take(tried(t, time.Minute), u)
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	b.pool.give(one)
	until(t, "it is closed", func() bool { open, _, _ := b.pool.count(u.Host); return open == 1 })
	if d := time.Since(started); d < b.pool.idle {
		t.Errorf("it was closed after %v", d)
	}
	b.pool.give(two)
	until(t, "the other is closed", func() bool { open, _, _ := b.pool.count(u.Host); return open == 0 })
	b.pool.mu.Lock()
	defer b.pool.mu.Unlock()
	if b.pool.sweeper != nil {
		t.Error("a timer is left")
	}
}

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

// TestAOneShotBody: closed once, and only when no other connection may need it.
func TestAOneShotBody(t *testing.T) {
	for _, c := range []struct {
		name            string
		use             func(o *oneShot)
		before, settled int
	}{
		{"unread, closed", func(o *oneShot) { _ = o.Close() }, 0, 1},
		{"read, closed twice", func(o *oneShot) { _, _ = o.Read(nil); _ = o.Close(); _ = o.Close() }, 1, 1},
		{"not closed", func(o *oneShot) { _, _ = o.Read(nil) }, 0, 0},
	} {
		closed := 0
		o := &oneShot{ReadCloser: closing{strings.NewReader("x"), func() { closed++ }}}
		c.use(o)
		if closed != c.before {
			t.Errorf("%s: closed %d times, want %d", c.name, closed, c.before)
		}
		o.settle()
		o.settle()
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
