package tcpproxy_test

import (
	"io"
	"math"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/internal/tcptest"
	"github.com/backstay-go/backstay/chaos/tcpproxy"
)

// BenchmarkLatency holds the latency that 1,000 connections see against the stated
// distribution: 100 ms, evenly up to 20 ms more or less. Each connection sends a
// message, waits for its echo, and sends the next after a pause, all out of step. What
// the connection itself takes is measured first, through the same proxy, and taken off.
func BenchmarkLatency(b *testing.B) {
	const connections, rounds = 1000, 10
	const delay, jitter, pause = 100 * time.Millisecond, 20 * time.Millisecond, 900 * time.Millisecond
	injector, err := chaos.New(chaos.Plan{Seed: 1}, chaos.Config{})
	if err != nil {
		b.Fatal(err)
	}
	injector.Start()
	defer injector.Stop()
	p, err := tcpproxy.Start(b.Context(), tcpproxy.Config{Dependency: "d", Upstream: tcptest.Serve(b, tcptest.Echo), Injector: injector})
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	conns := make([]net.Conn, connections)
	for i := range conns {
		if conns[i], err = net.Dial("tcp", p.Addr()); err != nil {
			b.Fatal(err)
		}
		defer conns[i].Close()
	}
	// measure returns the round trips, sorted.
	measure := func() []time.Duration {
		var mu sync.Mutex
		var all []time.Duration
		var wg sync.WaitGroup
		for i, c := range conns {
			wg.Go(func() {
				<-time.After(pause * time.Duration(i) / connections)
				buf := make([]byte, 64)
				for range rounds {
					began := time.Now()
					if _, err := c.Write(buf); err != nil {
						b.Error(err)
						return
					}
					if _, err := io.ReadFull(c, buf); err != nil {
						b.Error(err)
						return
					}
					took := time.Since(began)
					mu.Lock()
					all = append(all, took)
					mu.Unlock()
					<-time.After(pause)
				}
			})
		}
		wg.Wait()
		slices.Sort(all)
		return all
	}
	for b.Loop() {
		if err := injector.Update(chaos.Plan{Seed: 1}); err != nil {
			b.Fatal(err)
		}
		bare := measure()
		if err := injector.Update(chaos.Plan{Seed: 1, Rules: []chaos.Rule{{Where: chaos.Where{Dependency: "d"}, What: chaos.What{Kind: chaos.Latency, Delay: delay, Jitter: jitter}}}}); err != nil {
			b.Fatal(err)
		}
		seen := measure()
		if b.Failed() {
			return
		}
		own, worst := bare[len(bare)/2], 0.0
		for _, q := range []float64{0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99} {
			stated := float64(delay) + (2*q-1)*float64(jitter)
			got := float64(seen[int(q*float64(len(seen)))] - own)
			worst = max(worst, math.Abs(got-stated))
		}
		b.ReportMetric(worst/1e6, "worst-quantile-off-ms")
		b.ReportMetric(float64(own.Nanoseconds())/1e6, "own-ms")
	}
}
