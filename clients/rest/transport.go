package rest

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/backstay-go/backstay/clients/rest/cache"
	"github.com/backstay-go/backstay/resilience"
)

// Transport is an http.RoundTripper behind a guard. Its fields are not changed after
// the first use. It is safe for concurrent use. The guard and the base belong to who
// made them.
type Transport struct {
	// Guard stands before the host. Required.
	Guard *resilience.Guard
	// Base sends the requests. Nil: NewBase(64), made with the first request. If it
	// wraps a transport with unencrypted HTTP/2, net/http's own repeats on it are taken
	// for those of HTTP/1.
	Base http.RoundTripper
	// Routes names operations by pattern, as http.ServeMux has them: "GET /v1/members/{id}".
	// Requests that match none run as the guard's default operation. A pattern with a
	// method that is not idempotent declares that it is, if its operation says so.
	Routes map[string]string
	// Cache remembers answers, and serves stale ones when the host fails. It stands before
	// the guard: a hit needs no permit. Nil: nothing is remembered.
	Cache *cache.Cache
	// Balancer spreads attempts over several addresses. The host of a request stays what
	// its Host field or URL says, and is what Routes see. Nil: requests go where their URL
	// says.
	Balancer *Balancer
	// MaxBytes bounds a response's body, after decompression. Default: 64 MiB; a
	// negative value means no bound.
	MaxBytes int64
	// Stall is how long a body may bring nothing while it is read. Default: 10 s; a
	// negative value means for ever, within the operation's timeout.
	Stall time.Duration
	// Quiet sends no Backstay headers, for servers of others.
	Quiet bool
	// Observe is told of each attempt, on its goroutine and under its context; no lock is
	// held. It must not panic. Package telemetry below has one. Nil: nobody wants to know.
	Observe func(ctx context.Context, e Exchange)

	once   sync.Once
	base   http.RoundTripper
	router router
	bad    error
	// multiplexed: see wired.
	multiplexed bool
	pools       bool // see the function
	opened      openings
}

func (t *Transport) init() {
	t.base = t.Base
	if t.base == nil {
		t.base = NewBase(64)
	}
	t.multiplexed, t.pools = multiplexes(t.base), pools(t.base)
	t.router, t.bad = newRouter(t.Guard, t.Routes)
	if t.Guard == nil {
		t.bad = errors.Join(t.bad, errors.New("rest: Transport.Guard is nil: make a guard for the host"))
	}
}

// CloseIdleConnections closes those of the base.
func (t *Transport) CloseIdleConnections() {
	t.once.Do(t.init)
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// RoundTrip sends a request under the guard. It returns the response of the last
// attempt, whatever its status, or an error: one of the guard, or a *SendError.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	t.once.Do(t.init)
	if err := t.check(r); err != nil {
		closeBody(r)
		return nil, err
	}
	if t.Cache != nil {
		return t.Cache.Serve(r, t.send)
	}
	return t.send(r)
}

// send is RoundTrip without the cache.
func (t *Transport) send(r *http.Request) (*http.Response, error) {
	found, declared := t.router.find(r)
	trip := &trip{transport: t, request: r, route: found, repeatable: declared || idempotent(r)}
	ctx := r.Context()
	if !trip.repeatable || !resendable(r) {
		ctx = resilience.WithoutHedge(ctx)
	}
	on := resilience.Caller(t.Guard)
	if found.on != nil {
		on = found.on
	}
	res, err := resilience.Do(ctx, on, trip.attempt, disposal...)
	last := trip.finish()
	if err == nil {
		discard(last)
		return res.Value, nil
	}
	if last != nil {
		return last, nil
	}
	if t.opened.isNew(err) {
		t.CloseIdleConnections()
	}
	return nil, err
}

// check says what is wrong with the transport, or with a request that can't be sent.
func (t *Transport) check(r *http.Request) error {
	switch {
	case t.bad != nil:
		return t.bad
	case r.URL == nil || r.URL.Host == "":
		return errNoHost
	}
	return nil
}

var errNoHost = errors.New("rest: the request's URL has no host: give an absolute address")
