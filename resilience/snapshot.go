package resilience

import "time"

// Snapshot is a guard's state at one moment, for dashboards and health checks. It is a
// value. Its parts are read one after the other; each part is consistent by itself.
type Snapshot struct {
	Dependency string       `json:"dependency"`
	Breaker    BreakerState `json:"breaker"`
	// OpenUntil is when an open breaker will admit a probe. It is zero while the
	// breaker is in another state or forced.
	OpenUntil time.Time `json:"open_until,omitzero"`
	// Forced is the mode that Force has set; BreakerAuto if none.
	Forced BreakerMode `json:"forced,omitempty"`
	// RepeatsForbidden says that ForbidRepeats is in force.
	RepeatsForbidden bool `json:"repeats_forbidden,omitempty"`
	// Calls, failures and slow calls in the breaker's window.
	Calls    int `json:"calls"`
	Failures int `json:"failures"`
	Slow     int `json:"slow"`
	// Permits in use, waiting calls, and the limit in force.
	InFlight int `json:"in_flight"`
	Waiting  int `json:"waiting"`
	Limit    int `json:"limit"`
	// ShareKeys is the number of operations, or keys of WithShareKey, that hold permits, and
	// LargestShare the number of permits that one of them holds at most. Both are counted
	// only with BulkheadPolicy.MaxShare; zero otherwise.
	ShareKeys    int `json:"share_keys,omitempty"`
	LargestShare int `json:"largest_share,omitempty"`
	// Throttled is the part of the attempts that the throttle refuses now, from 0 to 1.
	Throttled float64 `json:"throttled,omitempty"`
	// Tokens that are left in the budget.
	Budget float64 `json:"budget"`
	// Amplification is the factor by which the policy lets repeats multiply the load
	// (Policy.Amplification).
	Amplification float64 `json:"amplification"`
	// ListenerPanics counts recovered panics of listeners.
	ListenerPanics int64 `json:"listener_panics"`
	// LostPanics counts panics for which there was no caller any more: in losers of a
	// hedge, detached work, refreshes in the background, and Dispose functions.
	LostPanics int64 `json:"lost_panics"`
}

// Snapshot returns the guard's state. For a nil guard it returns the zero value.
func (g *Guard) Snapshot() Snapshot {
	if g == nil || g.own == nil {
		return Snapshot{}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.snapshot(g.shared)
	s.Forced, s.RepeatsForbidden = g.forced, g.noRepeats.Load()
	s.ListenerPanics, s.LostPanics = g.listeners.panics.Load(), g.lostPanics.Load()
	return s
}

// snapshot returns the state of a gate under the policy in force.
func (g *gate) snapshot(p *shared) Snapshot {
	s := Snapshot{
		Dependency:    g.name,
		Limit:         int(g.bulkhead.limit.Load()),
		Budget:        g.budget.left(),
		Amplification: p.amplification,
	}
	s.InFlight, s.Waiting = g.bulkhead.counts()
	if p.Bulkhead.MaxShare > 0 {
		s.ShareKeys, s.LargestShare = g.bulkhead.shares.counts()
	}
	if p.Throttle != nil {
		s.Throttled = g.throttle.share(p.Throttle, g.now())
	}
	if p.Breaker != nil {
		c := g.breaker.now.Load()
		t := c.window.Load().sum(g.now())
		s.Breaker = g.visibleBreaker(p)
		if p.Breaker.Mode == BreakerAuto {
			s.OpenUntil = c.until
		}
		s.Calls, s.Failures, s.Slow = t.calls, t.bad, t.slow
	}
	return s
}
