package rest

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	ours "github.com/backstay-go/backstay/clients/rest"
	"github.com/backstay-go/backstay/resilience"
)

// BenchmarkGet is one GET of 1 KB over loopback, on kept connections.
func BenchmarkGet(b *testing.B) {
	body := bytes.Repeat([]byte("x"), 1024)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }))
	defer server.Close()
	guard, err := resilience.New(resilience.Policy{
		Name: "dep", Bulkhead: resilience.BulkheadPolicy{Limit: 64, Queue: 64}, Breaker: &resilience.BreakerPolicy{SlowCall: time.Second},
		Default: resilience.OperationPolicy{Timeout: 10 * time.Second, AttemptTimeout: 5 * time.Second, Idempotent: true, Retry: &resilience.RetryPolicy{}},
	})
	if err != nil {
		b.Fatal(err)
	}
	defer guard.Close()
	base := ours.NewBase(64)
	defer base.CloseIdleConnections()
	for name, transport := range map[string]http.RoundTripper{"bare": base, "guarded": &ours.Transport{Guard: guard, Base: base}} {
		client := &http.Client{Transport: transport}
		get := func() {
			resp, err := client.Get(server.URL)
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
		b.Run(name+"/serial", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				get()
			}
		})
		b.Run(name+"/parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(8)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					get()
				}
			})
		})
	}
}
