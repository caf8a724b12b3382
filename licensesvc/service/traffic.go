package service

import (
	"slices"
	"sync"
	"time"

	"github.com/backstay-go/backstay/licensesvc/api"
	"github.com/backstay-go/backstay/licensesvc/dashboard"
)

const (
	remembered = 120
	recent     = 40
	// perSecond limits the number of latencies that are remembered per second.
	perSecond = 2000
)

// traffic remembers what the service answered, for the dashboard. It is safe for concurrent
// use.
type traffic struct {
	mu      sync.Mutex
	seconds [remembered]second
	latest  []dashboard.Decision
}

type second struct {
	at       int64
	outcomes map[string]int
	took     []time.Duration
}

func (t *traffic) record(a api.RequestLog) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	s := &t.seconds[now.Unix()%remembered]
	if s.at != now.Unix() {
		*s = second{at: now.Unix(), outcomes: map[string]int{}}
	}
	s.outcomes[a.Outcome]++
	if len(s.took) < perSecond {
		s.took = append(s.took, a.Took)
	}
	if a.License == "" && a.Title == "" {
		return
	}
	d := dashboard.Decision{At: now, Member: a.Member, License: a.License, Title: a.Title, Kind: a.Kind, Outcome: a.Outcome}
	for _, b := range a.On {
		if b.Source != "live" {
			d.On = append(d.On, b.Dependency+" "+b.Source)
		}
	}
	if len(t.latest) == recent {
		t.latest = slices.Delete(t.latest, 0, 1)
	}
	t.latest = append(t.latest, d)
}

// history implements dashboard.Config.Traffic.
func (t *traffic) history(now time.Time, n int) []dashboard.Traffic {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]dashboard.Traffic, 0, n)
	for at := now.Unix() - int64(min(n, remembered-1)); at < now.Unix(); at++ {
		moment := dashboard.Traffic{At: at}
		if s := t.seconds[at%remembered]; s.at == at {
			moment.Outcomes = map[string]int{}
			for k, v := range s.outcomes {
				moment.Outcomes[k] = v
			}
			took := slices.Sorted(slices.Values(s.took))
			moment.P50ms, moment.P99ms = quantile(took, 0.5), quantile(took, 0.99)
		}
		out = append(out, moment)
	}
	return out
}

// decisions returns the latest decisions, the newest first.
func (t *traffic) decisions() []dashboard.Decision {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := slices.Clone(t.latest)
	slices.Reverse(out)
	return out
}

func quantile(sorted []time.Duration, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return float64(sorted[int(q*float64(len(sorted)-1))]) / float64(time.Millisecond)
}
