package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

// cost is what one request took of the clock and of the processor, client and server
// together, in nanoseconds.
type cost struct{ wall, cpu float64 }

// cpu is the processor time that this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// load sends n requests from so many callers.
func load(rt http.RoundTripper, url string, callers, n int) (cost, error) {
	client := &http.Client{Transport: rt}
	var wg sync.WaitGroup
	errs := make(chan error, callers)
	start, used := time.Now(), cpu()
	for range callers {
		wg.Go(func() {
			for range n / callers {
				if err := get(client, url); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	wall, spent := time.Since(start), cpu()-used
	select {
	case err := <-errs:
		return cost{}, err
	default:
		return cost{float64(wall) / float64(n), float64(spent) / float64(n)}, nil
	}
}

func get(client *http.Client, url string) error {
	resp, err := client.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err = io.Copy(io.Discard, resp.Body); err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d", resp.StatusCode)
	}
	return err
}

func policy(limit int) resilience.Policy {
	return resilience.Policy{
		Name: "dep", Bulkhead: resilience.BulkheadPolicy{Limit: limit, Queue: 4096}, Breaker: &resilience.BreakerPolicy{SlowCall: time.Second, MinimumCalls: 1000},
		Default: resilience.OperationPolicy{Timeout: 10 * time.Second, AttemptTimeout: 5 * time.Second, Idempotent: true, Retry: &resilience.RetryPolicy{}},
	}
}

// row is one comparison of throughput.
type row struct {
	name              string
	bare, guarded     cost // medians
	wall, cpu         float64
	fastWall, fastCPU float64
}

// timed is the bare transport under a context.WithTimeout, which is the least that a
// careful caller does.
type timed struct{ base http.RoundTripper }

// RoundTrip sends a request that has five seconds for its headers.
func (t timed) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
	resp, err := t.base.RoundTrip(r.WithContext(ctx))
	if err != nil {
		cancel()
		return nil, err
	}
	resp.Body = &ending{resp.Body, cancel}
	return resp, nil
}

// ending is a body whose Close ends its context.
type ending struct {
	io.ReadCloser
	cancel context.CancelFunc
}

// Close closes the body.
func (e *ending) Close() error {
	defer e.cancel()
	return e.ReadCloser.Close()
}

// compare interleaves short runs of both, so that what else the machine does meets
// both, and takes the median of the rounds' ratios.
func compare(name string, size, callers, each, rounds int, rival func(*resilience.Guard, *http.Transport) http.RoundTripper) (row, error) {
	body := bytes.Repeat([]byte("x"), size)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }))
	defer server.Close()
	guard, err := resilience.New(policy(64))
	if err != nil {
		return row{}, err
	}
	defer guard.Close()
	base := &http.Transport{MaxIdleConnsPerHost: 64}
	defer base.CloseIdleConnections()
	rivals := []http.RoundTripper{base, rival(guard, base)}
	if c, ok := rivals[1].(interface{ CloseIdleConnections() }); ok {
		defer c.CloseIdleConnections()
	}
	var costs [2][]cost
	var wall, spent []float64
	for i := range rounds + 2 {
		var got [2]cost
		for k := range rivals {
			k = (k + i) % 2
			if got[k], err = load(rivals[k], server.URL, callers, each); err != nil {
				return row{}, err
			}
		}
		if i < 2 {
			continue // warm up
		}
		costs[0], costs[1] = append(costs[0], got[0]), append(costs[1], got[1])
		wall, spent = append(wall, got[0].wall/got[1].wall), append(spent, got[0].cpu/got[1].cpu)
	}
	at := func(c []cost, quantile float64) cost {
		var w, u []float64
		for _, one := range c {
			w, u = append(w, one.wall), append(u, one.cpu)
		}
		return cost{pick(w, quantile), pick(u, quantile)}
	}
	fast := [2]cost{at(costs[0], 0.1), at(costs[1], 0.1)}
	return row{name: name, bare: at(costs[0], 0.5), guarded: at(costs[1], 0.5), wall: pick(wall, 0.5), cpu: pick(spent, 0.5),
		fastWall: fast[0].wall / fast[1].wall, fastCPU: fast[0].cpu / fast[1].cpu}, nil
}

// pick returns a quantile.
func pick(v []float64, quantile float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[int(quantile*float64(len(v)))]
}
