package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"time"

	"github.com/backstay-go/backstay/clients/rest"
	"github.com/backstay-go/backstay/resilience"
)

// counted is a server that counts new connections.
func counted(h http.HandlerFunc, two bool) (*httptest.Server, *atomic.Int64) {
	var conns atomic.Int64
	s := httptest.NewUnstartedServer(h)
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	if s.EnableHTTP2 = two; two {
		s.StartTLS()
	} else {
		s.Start()
	}
	return s, &conns
}

// rivals are net/http's default and ours, for a server of HTTP/1.1.
func rivals(limit int, change func(*resilience.Policy)) (bare *http.Transport, ours *rest.Transport, end func(), err error) {
	p := policy(limit)
	if change != nil {
		change(&p)
	}
	guard, err := resilience.New(p)
	if err != nil {
		return nil, nil, nil, err
	}
	bare, ours = http.DefaultTransport.(*http.Transport).Clone(), &rest.Transport{Guard: guard, Base: rest.NewBase(limit)}
	return bare, ours, func() {
		bare.CloseIdleConnections()
		ours.CloseIdleConnections()
		_ = guard.Close()
	}, nil
}

// opened is how many connections 2,000 requests of 50 callers open.
func opened() ([2]int64, error) {
	var got [2]int64
	bare, ours, end, err := rivals(50, nil)
	if err != nil {
		return got, err
	}
	defer end()
	for i, rt := range []http.RoundTripper{bare, ours} {
		s, conns := counted(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }, false)
		_, err := load(rt, s.URL, 50, 2000)
		s.Close()
		if err != nil {
			return got, err
		}
		got[i] = conns.Load()
	}
	return got, nil
}

// failing is how many connections 300 failed attempts with bodies open, ten at a time.
func failing() ([2]int64, error) {
	var got [2]int64
	bare, ours, end, err := rivals(10, func(p *resilience.Policy) {
		p.Default.Retry = &resilience.RetryPolicy{BaseDelay: time.Millisecond, MaxDelay: time.Millisecond}
		p.Budget = &resilience.BudgetPolicy{Ratio: 1, Burst: 1000}
	})
	if err != nil {
		return got, err
	}
	defer end()
	for i, rt := range []http.RoundTripper{bare, ours} {
		s, conns := counted(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(500)
			_, _ = w.Write(make([]byte, 20_000))
		}, false)
		each := map[int]int{0: 30, 1: 10}[i] // ours makes three attempts of each
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				for range each {
					r, err := http.NewRequest("GET", s.URL, nil)
					if err != nil {
						return
					}
					if resp, err := rt.RoundTrip(r); err == nil {
						resp.Body.Close() // unread, as those who retry do
					}
				}
			})
		}
		wg.Wait()
		s.Close()
		got[i] = conns.Load()
	}
	return got, nil
}

// dying is how often one GET is executed, over eight idle connections that die on use.
func dying() ([2]int64, error) {
	var got [2]int64
	bare, ours, end, err := rivals(8, func(p *resilience.Policy) { p.Default.Retry.MaxAttempts = 2 })
	if err != nil {
		return got, err
	}
	defer end()
	bare.MaxIdleConnsPerHost = 8
	for i, rt := range []http.RoundTripper{bare, ours} {
		var die atomic.Bool
		var executed atomic.Int64
		var together sync.WaitGroup
		together.Add(8)
		s, _ := counted(func(w http.ResponseWriter, _ *http.Request) {
			if !die.Load() {
				together.Done()
				together.Wait()
				return
			}
			executed.Add(1)
			if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
				conn.Close()
			}
		}, false)
		_, err := load(rt, s.URL, 8, 8)
		if err == nil {
			die.Store(true)
			_, _ = load(rt, s.URL, 1, 1) // it fails: how often it was tried is the question
			got[i] = executed.Load()
		}
		s.Close()
		if err != nil {
			return got, err
		}
	}
	return got, nil
}

// hole is a connection that takes everything, and brings nothing, from a moment on.
type hole struct {
	net.Conn
	bad *atomic.Bool
}

func (h hole) Write(p []byte) (int, error) {
	if h.bad.Load() {
		return len(p), nil
	}
	return h.Conn.Write(p)
}

// blackHole is how long it takes until a request succeeds after a connection of HTTP/2
// became a black hole, with deadlines of 300 ms. It gives up after limit.
func blackHole(limit time.Duration) ([2]time.Duration, error) {
	var got [2]time.Duration
	for i := range got {
		s, _ := counted(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }, true)
		defer s.Close()
		var mu sync.Mutex
		var made []*atomic.Bool
		change := func(t *http.Transport) {
			t.TLSClientConfig = s.Client().Transport.(*http.Transport).TLSClientConfig
			dial := t.DialContext
			t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
				c, err := dial(ctx, network, address)
				if err != nil {
					return nil, err
				}
				bad := &atomic.Bool{}
				mu.Lock()
				made = append(made, bad)
				mu.Unlock()
				return hole{c, bad}, nil
			}
		}
		var rt http.RoundTripper
		if i == 0 {
			bare := http.DefaultTransport.(*http.Transport).Clone()
			change(bare)
			rt = bare
		} else {
			p := policy(8)
			p.Default = resilience.OperationPolicy{Timeout: 300 * time.Millisecond}
			p.Breaker = nil
			guard, err := resilience.New(p)
			if err != nil {
				return got, err
			}
			defer guard.Close()
			rt = &rest.Transport{Guard: guard, Base: rest.NewBase(8, change)}
		}
		client := &http.Client{Transport: rt}
		try := func() error {
			ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
			defer cancel()
			r, err := http.NewRequestWithContext(ctx, "GET", s.URL, nil)
			if err != nil {
				return err
			}
			resp, err := client.Do(r)
			if err == nil {
				err = resp.Body.Close()
			}
			return err
		}
		for tries := 0; try() != nil; tries++ {
			if tries > 20 {
				return got, fmt.Errorf("the server was never reached")
			}
		}
		mu.Lock()
		for _, bad := range made {
			bad.Store(true)
		}
		mu.Unlock()
		start := time.Now()
		for try() != nil && time.Since(start) < limit {
		}
		got[i] = time.Since(start)
		client.CloseIdleConnections()
	}
	return got, nil
}
