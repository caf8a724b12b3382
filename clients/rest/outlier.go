package rest

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"time"
)

// OutlierPolicy says when an address is taken out, and for how long. Its zero value has
// the defaults of Envoy's outlier detection. Failures are those that the guard's breaker
// counts: status 5xx other than marked refusals, time-outs, connection errors.
type OutlierPolicy struct {
	// Consecutive is the number of failures in a row that takes an address out. Default:
	// 5; a negative value means that they don't.
	Consecutive int
	// Interval is the time between two looks at success rates. Default: 10 s.
	Interval time.Duration
	// BaseEjection is how long the first ejection of an address lasts; the second lasts twice
	// as long, the third three times. Default: 30 s.
	BaseEjection time.Duration
	// MaxEjection bounds that. Default: 300 s.
	MaxEjection time.Duration
	// MaxEjected is the share of addresses, in percent, that may be out at a time; one always
	// may, if there is another. Default: 10.
	MaxEjected int
	// Deviations ejects addresses whose success rate in the last interval is this many
	// standard deviations below the mean. Default: 1.9; a negative value disables this check.
	Deviations float64
	// MinAddresses with at least MinRequests in the interval are needed for that. Defaults: 5
	// and 100.
	MinAddresses, MinRequests int
	_                         struct{}
}

// The defaults, which the fields' comments name.
var outlierDefaults = OutlierPolicy{
	Consecutive: 5, Interval: 10 * time.Second, BaseEjection: 30 * time.Second, MaxEjection: 300 * time.Second,
	MaxEjected: 10, Deviations: 1.9, MinAddresses: 5, MinRequests: 100,
}

// fill sets the defaults, and returns what is wrong.
func (p *OutlierPolicy) fill() error {
	var bad error
	check := func(wrong bool, name string, value any, want string) {
		if wrong {
			bad = errors.Join(bad, fmt.Errorf("rest: OutlierPolicy.%s is %v: give %s, or 0 for the default", name, value, want))
		}
	}
	check(p.Interval < 0, "Interval", p.Interval, "a time above zero")
	check(p.BaseEjection < 0, "BaseEjection", p.BaseEjection, "a time above zero")
	check(p.MaxEjection < 0, "MaxEjection", p.MaxEjection, "a time above zero")
	check(p.MaxEjected < 0 || p.MaxEjected > 100, "MaxEjected", p.MaxEjected, "1 to 100")
	check(p.MinAddresses < 0, "MinAddresses", p.MinAddresses, "1 or more")
	check(p.MinRequests < 0, "MinRequests", p.MinRequests, "1 or more")
	d := outlierDefaults
	p.Consecutive = cmp.Or(p.Consecutive, d.Consecutive)
	p.Interval = cmp.Or(p.Interval, d.Interval)
	p.BaseEjection = cmp.Or(p.BaseEjection, d.BaseEjection)
	p.MaxEjection = cmp.Or(p.MaxEjection, max(d.MaxEjection, p.BaseEjection))
	p.MaxEjected = cmp.Or(p.MaxEjected, d.MaxEjected)
	p.Deviations = cmp.Or(p.Deviations, d.Deviations)
	p.MinAddresses = cmp.Or(p.MinAddresses, d.MinAddresses)
	p.MinRequests = cmp.Or(p.MinRequests, d.MinRequests)
	return bad
}

// health is what is known about an address.
type health struct {
	row         int // failures in a row
	good, total int // in this interval
	until       time.Time
	times       int       // how many times it was ejected
	calm        time.Time // since when it is back; each interval after that forgets one ejection
}

func (h *health) isOut(now time.Time) bool { return now.Before(h.until) }

// observe counts the outcome of an attempt.
func (b *Balancer) observe(one *backend, failed bool) {
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	one.total++
	if !failed {
		one.row = 0
		one.good++
		return
	}
	one.row++
	if b.outlier.Consecutive > 0 && one.row >= b.outlier.Consecutive {
		b.ejectLocked(one, now)
	}
}

// ejectLocked ejects an address, unless too many are ejected already.
func (b *Balancer) ejectLocked(one *backend, now time.Time) {
	if one.isOut(now) {
		return
	}
	out := 1
	for _, other := range b.backends {
		if other.isOut(now) {
			out++
		}
	}
	if out >= len(b.backends) || out > 1 && 100*out > b.outlier.MaxEjected*len(b.backends) {
		return
	}
	one.times++
	one.row = 0
	ejection := b.outlier.MaxEjection
	if b.outlier.BaseEjection <= ejection/time.Duration(one.times) { // else the product may overflow
		ejection = b.outlier.BaseEjection * time.Duration(one.times)
	}
	one.until = now.Add(ejection)
	one.calm = one.until
}

// sweepLocked evaluates the interval that has passed. The first request after the interval
// does this work: there is no background goroutine.
func (b *Balancer) sweepLocked(now time.Time) {
	if b.sweepAt.IsZero() {
		b.sweepAt = now.Add(b.outlier.Interval)
	}
	if now.Before(b.sweepAt) {
		return
	}
	b.sweepAt = now.Add(b.outlier.Interval)
	b.compareLocked(now)
	for _, one := range b.backends {
		one.good, one.total = 0, 0
		for one.times > 0 && now.Sub(one.calm) >= b.outlier.Interval {
			one.times--
			one.calm = one.calm.Add(b.outlier.Interval)
		}
	}
}

// compareLocked ejects addresses whose success rate is far below the others'.
func (b *Balancer) compareLocked(now time.Time) {
	var rated []*backend
	var sum, squares float64
	for _, one := range b.backends {
		if one.total >= b.outlier.MinRequests && !one.isOut(now) {
			rated = append(rated, one)
			sum += one.rate()
		}
	}
	if b.outlier.Deviations < 0 || len(rated) < b.outlier.MinAddresses {
		return
	}
	mean := sum / float64(len(rated))
	for _, one := range rated {
		squares += (one.rate() - mean) * (one.rate() - mean)
	}
	bound := mean - b.outlier.Deviations*math.Sqrt(squares/float64(len(rated)))
	for _, one := range rated {
		if one.rate() < bound {
			b.ejectLocked(one, now)
		}
	}
}

func (h *health) rate() float64 { return float64(h.good) / float64(h.total) }
