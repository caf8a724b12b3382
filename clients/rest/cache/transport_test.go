package cache_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backstay-go/backstay/clients/rest"
	"github.com/backstay-go/backstay/clients/rest/cache"
	"github.com/backstay-go/backstay/resilience"
)

// TestMissesAreOneFetchThroughATransport: with the bodies of real servers, which Go's own
// send in chunks from 2 KiB on, and which the transport decompresses.
func TestMissesAreOneFetchThroughATransport(t *testing.T) {
	text := strings.Repeat("some text ", 300)
	for name, send := range map[string]func(w http.ResponseWriter, r *http.Request){
		"in chunks": func(w http.ResponseWriter, _ *http.Request) {
			for i := range 3 {
				_, _ = io.WriteString(w, text[i*len(text)/3:(i+1)*len(text)/3])
				w.(http.Flusher).Flush()
			}
		},
		"compressed": func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Accept-Encoding") != "gzip" {
				t.Errorf("Accept-Encoding %q", r.Header.Get("Accept-Encoding"))
			}
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = io.WriteString(z, text)
			_ = z.Close()
		},
		"with a length": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "3000")
			_, _ = io.WriteString(w, text)
		},
	} {
		t.Run(name, func(t *testing.T) {
			var requests atomic.Int64
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				w.Header().Set("Cache-Control", "max-age=600")
				send(w, r)
			}))
			defer s.Close()
			g, err := resilience.New(resilience.Policy{
				Name: "catalog", Bulkhead: resilience.BulkheadPolicy{Limit: 30},
				Default: resilience.OperationPolicy{Timeout: 30 * time.Second},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer g.Close()
			tr := &rest.Transport{Guard: g, Cache: made(t, cache.Config{})}
			defer tr.CloseIdleConnections()
			client := &http.Client{Transport: tr}
			var wg sync.WaitGroup
			for range 20 {
				wg.Go(func() {
					resp, err := client.Get(s.URL)
					if err != nil {
						t.Error(err)
						return
					}
					defer resp.Body.Close()
					if b, err := io.ReadAll(resp.Body); err != nil || string(b) != text || resp.Header.Get("Content-Encoding") != "" {
						t.Errorf("%d bytes, %v", len(b), err)
					}
				})
			}
			wg.Wait()
			if requests.Load() != 1 {
				t.Errorf("%d requests", requests.Load())
			}
			if n := g.Snapshot().InFlight; n != 0 {
				t.Errorf("%d permits in use", n)
			}
		})
	}
}
