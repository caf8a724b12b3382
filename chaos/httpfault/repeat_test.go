package httpfault_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/httpfault"
)

// TestTheSameSeedHarmsTheSameRequests sends a load through the middleware ten times, at
// GOMAXPROCS 1 and 2, in other orders and from other numbers of clients: what happens to
// each request must be the same, delays included.
func TestTheSameSeedHarmsTheSameRequests(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	where := chaos.Where{Dependency: "catalog"}
	plan := chaos.Plan{Seed: 42, Rules: []chaos.Rule{
		{Name: "late", Where: where, Often: chaos.Often{Probability: new(0.4)}, What: chaos.What{Kind: chaos.Latency, Delay: time.Millisecond, Jitter: time.Millisecond}},
		{Name: "down", Where: where, Often: chaos.Often{Probability: new(0.3)}, What: chaos.What{Kind: chaos.Status, Status: 503}},
		{Name: "gone", Where: where, Often: chaos.Often{Probability: new(0.1)}, What: chaos.What{Kind: chaos.Reset}},
		{Name: "first attempts", Where: where, When: chaos.When{First: 1, Per: chaos.PerRequest}, Often: chaos.Often{Probability: new(0.2)}, What: chaos.What{Kind: chaos.Drop, At: "after"}},
	}}
	first := loaded(t, plan, 1, 1)
	for run := range 10 {
		runtime.GOMAXPROCS(1 + run%2)
		got := loaded(t, plan, uint64(run+2), 1+3*run)
		if !maps.Equal(got, first) {
			t.Fatalf("run %d decided otherwise than the first: %d requests harmed, and %d", run+1, len(got), len(first))
		}
	}
	plan.Seed++
	if maps.Equal(loaded(t, plan, 1, 4), first) {
		t.Error("another seed decided the same")
	}
}

// loaded sends 75 requests, each of two attempts, and returns what was done to each.
func loaded(t *testing.T, plan chaos.Plan, order uint64, clients int) map[string]string {
	t.Helper()
	var mu sync.Mutex
	log := map[string]string{}
	injector, err := chaos.New(plan, chaos.Config{Listeners: []chaos.Listener{chaos.ListenerFunc(func(ctx context.Context, e chaos.Event) {
		mu.Lock()
		defer mu.Unlock()
		log[fmt.Sprint(chaos.RequestOf(ctx), " ", e.Call.Attempt, " ", e.Rule)] = e.Delay.String()
	})}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(httpfault.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }),
		httpfault.Config{Dependency: "catalog", Injector: injector}))
	defer server.Close()
	injector.Start()
	defer injector.Stop()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	defer client.CloseIdleConnections()
	next := make(chan int)
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for n := range next {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
				if err != nil {
					t.Error(err)
					continue
				}
				req.Header.Set("Baggage", fmt.Sprintf("%s=r-%d", chaos.RequestKey, n/2))
				req.Header.Set("Backstay-Attempt", strconv.Itoa(1+n%2))
				if resp, err := client.Do(req); err == nil { // An error is what some faults are.
					_, _ = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
			}
		})
	}
	for _, n := range rand.New(rand.NewPCG(order, 0)).Perm(150) {
		next <- n
	}
	close(next)
	wg.Wait()
	mu.Lock()
	defer mu.Unlock()
	return log
}
