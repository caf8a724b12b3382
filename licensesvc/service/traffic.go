package service

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/backstay-go/backstay/internal/quantile"
	"github.com/backstay-go/backstay/licensesvc/api"
	"github.com/backstay-go/backstay/licensesvc/dashboard"
)

const (
	remembered = 120
	recent     = 40
)

// traffic remembers what the service answered, for the dashboard. It is safe for concurrent
// use.
type traffic struct {
	mu      sync.Mutex
	seconds [remembered]second
	latest  []dashboard.Decision
	decided map[decided]int64
}

// decided is what answers are counted by. Each part has few values.
type decided struct{ operation, outcome, reason string }

func newTraffic() *traffic { return &traffic{decided: map[decided]int64{}} }

type second struct {
	at       int64
	outcomes map[string]int
	took     quantile.Histogram
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
	t.decided[decided{a.Kind, a.Outcome, a.Code}]++
	if a.Took > 0 { // It was not refused at the door.
		s.took.Add(a.Took)
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
			moment.Outcomes = maps.Clone(s.outcomes)
			moment.P50ms, moment.P99ms = 1000*s.took.Quantile(0.5).Seconds(), 1000*s.took.Quantile(0.99).Seconds()
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
