package dashboard

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/backstay-go/backstay/internal/quantile"
	"github.com/backstay-go/backstay/resilience"
)

const (
	// Seconds is the number of seconds that the recorder remembers.
	Seconds = 120
	// maxChanges bounds the number of breaker changes that are remembered.
	maxChanges = 500
)

// Recorder listens to guards and remembers the last two minutes, second by second. It is safe for
// concurrent use and need not be closed. The zero value is ready to use.
type Recorder struct {
	mu      sync.Mutex
	deps    map[string]*dependency
	order   []string
	changes []Change
	dropped int
}

type dependency struct {
	seconds [Seconds]second
}

type second struct {
	unix    int64
	calls   int
	failed  int
	refused int
	sources [5]int
	latency quantile.Histogram
}

// Change is one state change of a breaker.
type Change struct {
	Dependency string                  `json:"dependency"`
	At         time.Time               `json:"at"`
	From       resilience.BreakerState `json:"from"`
	To         resilience.BreakerState `json:"to"`
	Why        string                  `json:"why,omitempty"`
}

// Moment is what happened to one dependency in one second.
type Moment struct {
	// At is the second, in Unix time.
	At      int64          `json:"at"`
	Calls   int            `json:"calls"`
	Failed  int            `json:"failed"`
	Refused int            `json:"refused"`
	Sources map[string]int `json:"sources,omitempty"`
	P50ms   float64        `json:"p50_ms"`
	P99ms   float64        `json:"p99_ms"`
}

// Handle implements resilience.Listener.
func (r *Recorder) Handle(_ context.Context, e resilience.Event) context.Context {
	switch e.Kind {
	case resilience.CallEnded, resilience.Refused, resilience.BreakerChanged:
	default:
		return nil
	}
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.Kind == resilience.BreakerChanged {
		c := Change{Dependency: e.Dependency, At: now, From: e.From, To: e.To}
		if e.Err != nil {
			c.Why = e.Err.Error()
		}
		if len(r.changes) == maxChanges {
			r.changes = slices.Delete(r.changes, 0, 1)
			r.dropped++
		}
		r.changes = append(r.changes, c)
		return nil
	}
	s := r.secondLocked(e.Dependency, now)
	if e.Kind == resilience.Refused {
		s.refused++
		return nil
	}
	s.calls++
	if e.Err != nil {
		s.failed++
	} else if int(e.Source) < len(s.sources) {
		s.sources[e.Source]++
	}
	s.latency.Add(e.Took)
	return nil
}

func (r *Recorder) secondLocked(name string, now time.Time) *second {
	d := r.deps[name]
	if d == nil {
		if r.deps == nil {
			r.deps = map[string]*dependency{}
		}
		d = &dependency{}
		r.deps[name] = d
		r.order = append(r.order, name)
	}
	s := &d.seconds[now.Unix()%Seconds]
	if s.unix != now.Unix() {
		*s = second{unix: now.Unix()}
	}
	return s
}

// History returns a dependency's last n whole seconds before now, the oldest first. Seconds
// without calls are included, with zeros. n is at most Seconds - 1.
func (r *Recorder) History(name string, now time.Time, n int) []Moment {
	n = min(n, Seconds-1)
	moments := make([]Moment, 0, n)
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.deps[name]
	for at := now.Unix() - int64(n); at < now.Unix(); at++ {
		m := Moment{At: at}
		if d != nil {
			if s := &d.seconds[at%Seconds]; s.unix == at {
				m.Calls, m.Failed, m.Refused = s.calls, s.failed, s.refused
				m.P50ms, m.P99ms = 1000*s.latency.Quantile(0.5).Seconds(), 1000*s.latency.Quantile(0.99).Seconds()
				for source, count := range s.sources {
					if count > 0 {
						if m.Sources == nil {
							m.Sources = map[string]int{}
						}
						m.Sources[resilience.Source(source).String()] = count
					}
				}
			}
		}
		moments = append(moments, m)
	}
	return moments
}

// Changes returns the remembered breaker changes, the oldest first, and the number of older ones
// that were dropped.
func (r *Recorder) Changes() ([]Change, int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.changes), r.dropped
}

// Names returns the dependencies in the order in which they were first seen.
func (r *Recorder) Names() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.order)
}
