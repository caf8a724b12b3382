package h1

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pooling is a pool with so many connections, and a server's address.
func pooling(t *testing.T, limit int, h http.HandlerFunc) (*Pool, *url.URL) {
	t.Helper()
	s := httptest.NewServer(h)
	p := New(&http.Transport{MaxConnsPerHost: limit, MaxIdleConnsPerHost: limit, IdleConnTimeout: time.Minute})
	t.Cleanup(func() {
		p.CloseIdle()
		s.Close()
	})
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return p, u
}

// patient is a user that waits no longer than its context.
type patient struct{ context.Context }

func (patient) Began() time.Time      { return time.Now() }
func (patient) Arm()                  {}
func (p patient) Cause() error        { return context.Cause(p.Context) }
func (patient) Expire() time.Duration { return 0 }

func user(t *testing.T, d time.Duration) User {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return patient{ctx}
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

func (p *Pool) count(host string) (open, idle, waiting int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if h := p.hosts[host]; h != nil {
		return h.open, len(h.idle), len(h.waiting)
	}
	return 0, 0, 0
}

// TestPoolWaitsInTurn: with as many connections as may be, requests wait in the order
// in which they came, and one that leaves takes nothing along.
func TestPoolWaitsInTurn(t *testing.T) {
	p, u := pooling(t, 2, func(http.ResponseWriter, *http.Request) {})
	take := func(d time.Duration) (*Conn, error) { return p.Take(user(t, d), u) }
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
			c.Give()
		})
		until(t, "one more waits", func() bool { _, _, n := p.count(u.Host); return n == i+1 })
	}
	first.Give()
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
			c.Give()
		}
		got <- err
	}()
	until(t, "one waits", func() bool { _, _, n := p.count(u.Host); return n == 1 })
	second.Close()
	second.Close()
	if err := <-got; err != nil {
		t.Error(err)
	}
	third.Give()
	if open, idle, waiting := p.count(u.Host); open != 2 || idle != 2 || waiting != 0 {
		t.Errorf("%d connections, %d idle, %d waiting; want 2, 2, 0", open, idle, waiting)
	}
	p.CloseIdle()
	if open, _, _ := p.count(u.Host); open != 0 || len(p.hosts) != 0 {
		t.Errorf("%d connections are left, %d hosts", open, len(p.hosts))
	}
}

// TestPoolForgetsDialsThatFail: each gives its place to the next.
func TestPoolForgetsDialsThatFail(t *testing.T) {
	refused := errors.New("refused")
	gate := make(chan struct{})
	p := New(&http.Transport{MaxConnsPerHost: 2, DialContext: func(context.Context, string, string) (net.Conn, error) {
		<-gate
		return nil, refused
	}})
	u := &url.URL{Scheme: "http", Host: "nobody.test"}
	got := make(chan error)
	for range 5 {
		go func() {
			_, err := p.Take(user(t, time.Minute), u)
			got <- err
		}()
	}
	until(t, "three wait", func() bool { open, _, n := p.count(u.Host); return open == 2 && n == 3 })
	close(gate)
	for range 5 {
		if err := <-got; !errors.Is(err, refused) {
			t.Errorf("a dial ended in %v", err)
		}
	}
	if len(p.hosts) != 0 {
		t.Errorf("%d hosts are left", len(p.hosts))
	}
}

// TestPoolClosesWhatIsIdle: after IdleConnTimeout, and nothing earlier.
func TestPoolClosesWhatIsIdle(t *testing.T) {
	p, u := pooling(t, 4, func(http.ResponseWriter, *http.Request) {})
	p.idle = 50 * time.Millisecond
	started := time.Now()
	one, err := p.Take(user(t, time.Minute), u)
	two, err2 := p.Take(user(t, time.Minute), u)
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	one.Give()
	until(t, "it is closed", func() bool { open, _, _ := p.count(u.Host); return open == 1 })
	if d := time.Since(started); d < p.idle {
		t.Errorf("it was closed after %v", d)
	}
	two.Give()
	until(t, "the other is closed", func() bool { open, _, _ := p.count(u.Host); return open == 0 })
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sweeper != nil {
		t.Error("a timer is left")
	}
}
