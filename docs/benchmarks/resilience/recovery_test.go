package resilience

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/resilience"
	"github.com/sony/gobreaker/v2"
)

const (
	outageFrom = 20 * time.Second
	outageSeen = outageFrom + 10*time.Second // a window later every breaker has seen it
	outageTo   = 80 * time.Second
	outageEnd  = 140 * time.Second
	openFor    = 5 * time.Second
	// trips is how many round trips after the first admitted call the table shows.
	trips = 6
)

// recovery is what one run showed.
type recovery struct {
	last    time.Duration // the open period that the outage ended in; 0: none
	back    time.Duration // from the outage's end to the first second of full goodput
	whole   float64       // goodput from then on, percent
	atOnce  [trips]int    // most calls that ran at once in each round trip of the recovery
	outage  int           // calls that the dependency got while it was known to be down
	arrived int           // calls that came meanwhile
}

// breaking is a candidate: how it runs a call.
var breaking = []struct {
	name string
	make func(t *testing.T) (run limited, openUntil func() time.Time)
}{
	{"none", func(*testing.T) (limited, func() time.Time) {
		return func(ctx context.Context, call func(context.Context) error) error {
			ctx, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			return call(ctx)
		}, nil
	}},
	{"gobreaker, 5 probes", func(*testing.T) (limited, func() time.Time) {
		cb := gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
			MaxRequests: 5, Interval: 10 * time.Second, Timeout: openFor,
			ReadyToTrip: func(c gobreaker.Counts) bool { return c.Requests >= 20 && 2*c.TotalFailures >= c.Requests },
		})
		return func(ctx context.Context, call func(context.Context) error) error {
			ctx, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			_, err := cb.Execute(func() (struct{}, error) { return struct{}{}, call(ctx) })
			return err
		}, nil
	}},
	{"Backstay", func(t *testing.T) (limited, func() time.Time) {
		g, err := resilience.New(resilience.Policy{
			Name: "dep", Bulkhead: resilience.BulkheadPolicy{Limit: 200}, Breaker: &resilience.BreakerPolicy{OpenFor: openFor},
			Default: resilience.OperationPolicy{Timeout: patience},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { g.Close() })
		return func(ctx context.Context, call func(context.Context) error) error {
			_, err := resilience.Do(ctx, g, func(ctx context.Context) (struct{}, error) { return struct{}{}, call(ctx) })
			return err
		}, func() time.Time { return g.Snapshot().OpenUntil }
	}},
}

// outage runs one: the dependency fails each call at once for a minute.
func outage(t *testing.T, candidate func(t *testing.T) (limited, func() time.Time), seed uint64) (r recovery) {
	synctest.Test(t, func(t *testing.T) {
		dep := newDependency(workers, seed)
		dep.service = func(time.Duration, *rand.Rand) time.Duration { return mean }
		dep.fails = func(at time.Duration) bool { return at >= outageFrom && at < outageTo }
		run, openUntil := candidate(t)
		arrivals := rand.New(rand.NewPCG(seed, 3))
		var mu sync.Mutex
		good := make([]int, outageEnd/time.Second)
		var running int
		var first time.Duration // when a call first reached the dependency after the outage
		call := func(ctx context.Context) error {
			at := time.Since(dep.began)
			mu.Lock()
			running++
			switch {
			case at >= outageSeen && at < outageTo:
				r.outage++
			case at >= outageTo:
				if first == 0 {
					first = at
				}
				if trip := int((at - first) / mean); trip < trips {
					r.atOnce[trip] = max(r.atOnce[trip], running)
				}
			}
			mu.Unlock()
			defer func() { mu.Lock(); running--; mu.Unlock() }()
			return dep.call(ctx)
		}
		var callers sync.WaitGroup
		rate := capacity / 2
		openedUntil := time.Time{}
		for at := time.Duration(0); ; {
			at += time.Duration(arrivals.ExpFloat64() / rate * float64(time.Second))
			if at >= outageEnd {
				break
			}
			time.Sleep(at - time.Since(dep.began))
			if at >= outageSeen && at < outageTo {
				r.arrived++
				if openUntil != nil {
					openedUntil = openUntil()
				}
			}
			callers.Go(func() {
				start := time.Now()
				if err := run(t.Context(), call); err == nil && time.Since(start) <= objective {
					mu.Lock()
					good[start.Sub(dep.began)/time.Second]++
					mu.Unlock()
				}
			})
		}
		callers.Wait()
		if openUntil != nil && openedUntil.After(dep.began.Add(outageTo)) {
			r.last = openedUntil.Sub(dep.began.Add(outageTo))
		}
		from := int(outageTo / time.Second)
		for from < len(good)-1 && float64(good[from]) < 0.85*rate { // 15 % below the mean is 4.7 sigma of such a second
			from++
		}
		r.back = time.Duration(from)*time.Second - outageTo
		sum := 0
		for _, n := range good[from:] {
			sum += n
		}
		r.whole = 100 * float64(sum) / (rate * float64(len(good)-from))
	})
	return r
}

// TestRecovery holds ours to the bar: full goodput within one probe interval after
// the outage, and a ramp instead of a herd. With -write it writes recovery.md.
func TestRecovery(t *testing.T) {
	var page strings.Builder
	fmt.Fprintf(&page, "# Recovery after an outage\n\nMade by `make bench`, in virtual time: %.0f calls per second (Poisson) to a dependency that fails every call at once for %v, and then answers in %v. Breakers open for %v at first. The bar for Backstay: full goodput within one probe interval of the outage's end, that is within what is left of the open period that it ended in; no herd.\n\n", capacity/2, outageTo-outageFrom, mean, openFor)
	page.WriteString("| breaker | seed | calls that reached it in the outage's last 50 s, of those that came | open for, after the outage's end | full goodput after | goodput from then on, % |")
	for i := range trips {
		fmt.Fprintf(&page, " trip %d |", i+1)
	}
	page.WriteString("\n|" + strings.Repeat("-|", 6+trips) + "\n")
	for _, c := range breaking {
		own := c.name == "Backstay"
		if !own && !*writes {
			continue
		}
		for seed := range seedsNow() {
			r := outage(t, c.make, uint64(seed+1))
			left := "-"
			if r.last > 0 {
				left = r.last.Round(100 * time.Millisecond).String()
			}
			fmt.Fprintf(&page, "| %s | %d | %d of %d | %s | %v | %.0f |", c.name, seed+1, r.outage, r.arrived, left, r.back, r.whole)
			for _, n := range r.atOnce {
				fmt.Fprintf(&page, " %d |", n)
			}
			page.WriteString("\n")
			if !own {
				continue
			}
			// A second is the table's grain; closing takes the ramp's round trips.
			if r.back > r.last+2*time.Second || r.whole < 95 {
				t.Errorf("seed %d: back after %v with %.1f %%; the open period ended after %v", seed+1, r.back, r.whole, r.last)
			}
			if r.atOnce[0] > 1 || r.atOnce[1] > 2 || r.atOnce[2] > 4 {
				t.Errorf("seed %d: %v ran at once in the first round trips; want a ramp of 1, 2, 4", seed+1, r.atOnce)
			}
			if r.outage > r.arrived/100 {
				t.Errorf("seed %d: %d of %d calls reached a dependency that was down", seed+1, r.outage, r.arrived)
			}
		}
	}
	page.WriteString("\nThe last columns are the most calls that ran at once in each round trip of 20 ms after the first call that was admitted: 1, 2, 4 is the ramp; about 20 is full load.\n")
	write(t, "recovery.md", page.String())
}
