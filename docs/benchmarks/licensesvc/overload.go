package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// calm is how long half of the peak is offered after an overload, and back is the time
	// within which the service must be at full service again.
	calm = 6 * time.Second
	back = 2 * time.Second
	// maxOpen bounds the requests that are open at once. One that is due while so many are
	// open is not sent, and counts as failed.
	maxOpen = 5000
)

// overloaded offers more than the peak and describes what was answered.
func (o options) overloaded(m *members, peak float64, pid int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n## More than the peak\n\nRequests come as a Poisson process, whether earlier ones are answered or not. A latency counts from the moment at which the request was due. Good is every answer that the rules made.\n\n")
	fmt.Fprintf(&b, "| offered | per second | good per second | of the peak or the offer | p50 | p99 of the good | refused per second | p99 of the refusals | failed | resident MB |\n|-|-|-|-|-|-|-|-|-|-|\n")
	for _, times := range []float64{1.8, 3} {
		length := o.length / 4
		all := arrivals(m, []offer{{length, times * peak}, {calm, peak / 2}})
		for _, part := range []struct {
			name     string
			from, to time.Duration
			offered  float64
			most     float64
		}{
			{fmt.Sprintf("%.1f x the peak", times), 0, length, times * peak, peak},
			{"half the peak, from 2 s after it", length + back, length + calm, peak / 2, peak / 2},
		} {
			r := outcomes(all, part.from, part.to)
			good := float64(len(r.good)) / (part.to - part.from).Seconds()
			fmt.Fprintf(&b, "| %s | %.0f | %.0f | %.0f %% | %.1f ms | %.1f ms | %.0f | %.1f ms | %d | %d |\n", part.name, part.offered, good, 100*good/part.most,
				milliseconds(quantile(r.good, 0.5)), milliseconds(quantile(r.good, 0.99)),
				float64(len(r.refused))/(part.to-part.from).Seconds(), milliseconds(quantile(r.refused, 0.99)), r.failed, resident(pid))
		}
	}
	return b.String()
}

// offer is a period with a rate of arrivals.
type offer struct {
	length    time.Duration
	perSecond float64
}

// arrival is one request of the open loop.
type arrival struct {
	due    time.Duration // since the start
	took   time.Duration // since it was due
	status int           // zero: it failed
}

// arrivals sends requests at the times of a Poisson process.
func arrivals(m *members, offers []offer) []arrival {
	var mu sync.Mutex
	var all []arrival
	var wg sync.WaitGroup
	open := make(chan struct{}, maxOpen)
	keep := func(a arrival) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, a)
	}
	start := time.Now()
	next, end := start, start
	for n, o := range offers {
		end = end.Add(o.length)
		for i := 0; ; i++ {
			next = next.Add(time.Duration(rand.ExpFloat64() / o.perSecond * float64(time.Second)))
			if next.After(end) {
				next = end
				break
			}
			if wait := time.Until(next); wait > 0 {
				time.Sleep(wait)
			}
			due := next
			select {
			case open <- struct{}{}:
			default:
				keep(arrival{due: due.Sub(start)})
				continue
			}
			key := fmt.Sprint("open-", start.UnixNano(), "-", n, "-", i)
			wg.Go(func() {
				s, err := m.ask(rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())), key)
				a := arrival{due: due.Sub(start), took: time.Since(due), status: s.status}
				if err != nil {
					a.status = 0
				}
				keep(a)
				<-open
			})
		}
	}
	wg.Wait()
	return all
}

// parts are the latencies of requests by what became of them.
type parts struct {
	good, refused []time.Duration
	failed        int
}

// outcomes sorts the requests that were due in a period.
func outcomes(all []arrival, from, to time.Duration) (p parts) {
	for _, a := range all {
		switch {
		case a.due < from || a.due >= to:
		case a.status == http.StatusServiceUnavailable || a.status == http.StatusTooManyRequests:
			p.refused = append(p.refused, a.took)
		case a.status >= 200 && a.status < 500:
			p.good = append(p.good, a.took)
		default:
			p.failed++
		}
	}
	slices.Sort(p.good)
	slices.Sort(p.refused)
	return p
}

func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[int(q*float64(len(sorted)-1))]
}
