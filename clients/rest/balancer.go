package rest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// BalancerConfig says over which addresses requests are spread, and how.
type BalancerConfig struct {
	// Addresses are base addresses of equal servers, such as http://10.0.0.1:8080 or
	// https://a.example/api. At least one. With https each must have a certificate for its
	// own name.
	Addresses []string
	// RoundRobin uses the addresses in turn. Default: of two addresses drawn at random, the
	// one with fewer requests in flight.
	RoundRobin bool
	// Outlier takes failing addresses out for a while.
	Outlier OutlierPolicy
	_       struct{}
}

// Balancer spreads the attempts of requests over several addresses. An attempt goes to an
// address that its call has not tried yet, as long as there is one. It is safe for
// concurrent use and needs no closing; make it with NewBalancer. It sends no health checks:
// it learns from the requests that an address answers or fails.
type Balancer struct {
	roundRobin bool
	outlier    OutlierPolicy

	mu       sync.Mutex
	backends []*backend
	turn     int
	sweepAt  time.Time
}

// backend is one address. The balancer's lock guards it.
type backend struct {
	base     *url.URL
	inFlight int
	health
}

// NewBalancer checks the configuration.
func NewBalancer(cfg BalancerConfig) (*Balancer, error) {
	b := &Balancer{roundRobin: cfg.RoundRobin, outlier: cfg.Outlier}
	bad := b.outlier.fill()
	if err := b.Update(cfg.Addresses); err != nil {
		bad = errors.Join(bad, err)
	}
	if bad != nil {
		return nil, bad
	}
	return b, nil
}

// Update replaces the addresses, for example after a name was resolved again. The state
// of addresses that remain is kept, and requests in flight continue. If the list is
// invalid, Update returns an error and changes nothing.
func (b *Balancer) Update(addresses []string) error {
	if len(addresses) == 0 {
		return errors.New("rest: Balancer: no address: give at least one, such as http://10.0.0.1:8080")
	}
	var bad error
	var bases []*url.URL
	for _, address := range addresses {
		u, err := url.Parse(address)
		if err == nil { // normalized, so that no address is listed twice
			u.Host, u.Path = strings.ToLower(u.Host), strings.TrimRight(u.Path, "/")
		}
		switch {
		case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.User != nil || strings.Contains(address, "#"):
			bad = errors.Join(bad, fmt.Errorf("rest: Balancer: %q is no base address: give one such as http://10.0.0.1:8080", address))
		case slices.ContainsFunc(bases, func(o *url.URL) bool { return *o == *u }):
			bad = errors.Join(bad, fmt.Errorf("rest: Balancer: %q is there twice", address))
		}
		bases = append(bases, u)
	}
	if bad != nil {
		return bad
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	backends := make([]*backend, len(bases))
	for i, u := range bases {
		backends[i] = &backend{base: u}
		for _, known := range b.backends {
			if *known.base == *u {
				backends[i] = known
			}
		}
	}
	b.backends = backends
	return nil
}

// Backend is the state of one address, for dashboards.
type Backend struct {
	Address  string `json:"address"`
	InFlight int    `json:"in_flight"`
	// EjectedUntil is in the future while the address gets no requests.
	EjectedUntil time.Time `json:"ejected_until,omitzero"`
}

// Backends returns the state of all addresses.
func (b *Balancer) Backends() []Backend {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]Backend, len(b.backends))
	for i, one := range b.backends {
		all[i] = Backend{one.base.String(), one.inFlight, one.until}
	}
	return all
}

// tries records the addresses to which the attempts of a call went. Safe for concurrent
// use.
type tries struct {
	mu   sync.Mutex
	went []*backend
}

// pick takes an address that the call has not tried.
func (t *tries) pick(b *Balancer) *backend {
	t.mu.Lock()
	defer t.mu.Unlock()
	one := b.pick(t.went)
	t.went = append(t.went, one)
	return one
}

// pick takes an address for an attempt. It prefers one that is neither ejected nor
// tried, then one that is not ejected, then any. If all are ejected, refusing requests
// would help nobody.
func (b *Balancer) pick(tried []*backend) *backend {
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sweepLocked(now)
	var space [16]*backend
	fits := func(one *backend, level int) bool {
		return (level > 1 || !one.isOut(now)) && (level > 0 || !slices.Contains(tried, one))
	}
	for level := range 3 {
		from := space[:0]
		for _, one := range b.backends {
			if fits(one, level) {
				from = append(from, one)
			}
		}
		if len(from) > 0 {
			one := b.chooseLocked(from)
			one.inFlight++
			return one
		}
	}
	return nil // there is always one
}

func (b *Balancer) chooseLocked(from []*backend) *backend {
	if b.roundRobin {
		b.turn++
		return from[b.turn%len(from)]
	}
	if len(from) == 1 {
		return from[0]
	}
	i, k := rand.IntN(len(from)), rand.IntN(len(from)-1)
	if k >= i {
		k++
	}
	if from[k].inFlight < from[i].inFlight {
		return from[k]
	}
	return from[i]
}

// leave is called when an attempt and its body are over.
func (b *Balancer) leave(one *backend) {
	b.mu.Lock()
	defer b.mu.Unlock()
	one.inFlight--
}

// direct changes a request's address. Its Host header stays as it is.
func direct(out *http.Request, to *url.URL) {
	u := *out.URL
	if out.Host == "" {
		out.Host = u.Host
	}
	u.Scheme, u.Host = to.Scheme, to.Host
	if prefix := strings.TrimRight(to.EscapedPath(), "/"); prefix != "" {
		raw := prefix + "/" + strings.TrimLeft(u.EscapedPath(), "/")
		u.Path, u.RawPath = strings.TrimRight(to.Path, "/")+"/"+strings.TrimLeft(u.Path, "/"), raw
	}
	out.URL = &u
}
