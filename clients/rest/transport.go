package rest

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/backstay-go/backstay/clients/rest/cache"
	"github.com/backstay-go/backstay/internal/routes"
	"github.com/backstay-go/backstay/resilience"
)

// Transport is an http.RoundTripper behind a guard. Its fields must not be changed after
// the first use. It is safe for concurrent use. Guard and Base are closed by the caller
// that made them. A panic of the base or of the observer reaches the caller of RoundTrip.
type Transport struct {
	// Guard stands before the host. Required.
	Guard *resilience.Guard
	// Base sends the requests. It must not be a Transport or Hosts: one guard per call. If
	// it wraps a transport with unencrypted HTTP/2, net/http's own repeats on it are taken
	// for those of HTTP/1. Nil: NewBase(64), made with the first request.
	Base http.RoundTripper
	// Routes names operations by pattern, as http.ServeMux has them: "GET /v1/members/{id}".
	// Requests that match none run as the guard's default operation.
	Routes map[string]string
	// RepeatWithoutKey lists patterns of requests that the server treats as idempotent
	// though neither their method nor an Idempotency-Key says so, such as "POST /v1/search".
	// Their operation must be idempotent as well. Nil: POST, PATCH and methods of your own
	// are repeated only with an Idempotency-Key, or if they were certainly not processed.
	RepeatWithoutKey []string
	// Cache remembers answers, and serves stale ones when the host fails. It stands before
	// the guard: a hit needs no permit. Nil: nothing is remembered.
	Cache *cache.Cache
	// Balancer spreads attempts over several addresses. The host of a request stays what
	// its Host field or URL says, and is what Routes see. Nil: requests go where their URL
	// says.
	Balancer *Balancer
	// MaxBytes limits the size of a response's body, in bytes after decompression. Default:
	// 64 MiB; a negative value means no limit.
	MaxBytes int64
	// Stall is how long a body may go without a further byte while it is read. Default:
	// 10 s; a negative value means no limit but the operation's timeout.
	Stall time.Duration
	// NoHeaders sends no Backstay headers, for servers of third parties.
	NoHeaders bool
	// Observer follows each attempt: spans, metrics, headers of traces. Nil: none does.
	Observer Observer

	once   sync.Once
	sender sender
	routes routes.Table[route]
	repeat routes.Table[string]
	bad    error
	opened breakerWatch
}

func (t *Transport) init() {
	s := &t.sender
	s.setBase(t.Base)
	s.setBounds(t.MaxBytes, t.Stall)
	s.balancer, s.noHeaders, s.observer = t.Balancer, t.NoHeaders, t.Observer
	var bad error
	t.routes, t.bad = newRoutes(t.Guard, t.Routes)
	t.repeat, bad = newPatterns("Transport.RepeatWithoutKey", t.RepeatWithoutKey)
	t.bad = errors.Join(t.bad, bad)
	if t.Guard == nil {
		t.bad = errors.Join(t.bad, errors.New("rest: Transport.Guard is nil: make a guard for the host"))
	}
	if isGuarded(t.Base) {
		t.bad = errors.Join(t.bad, errors.New("rest: Transport.Base has a guard, which would count each call twice: give NewBase(limit)"))
	}
}

// isGuarded reports whether a base has guards itself.
func isGuarded(base http.RoundTripper) bool {
	switch base.(type) {
	case *Transport, Hosts:
		return true
	}
	return false
}

// CloseIdleConnections closes the idle connections of the base.
func (t *Transport) CloseIdleConnections() {
	t.once.Do(t.init)
	t.sender.closeIdle()
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
	found, _ := t.routes.Find(r, r.URL.Host)
	_, repeat := t.repeat.Find(r, r.URL.Host)
	trip := &trip{sender: &t.sender, request: r, pattern: found.pattern, repeatable: repeat || idempotent(r)}
	on := resilience.Caller(t.Guard)
	if found.on != nil {
		on = found.on
	}
	res, err := resilience.Do(trip.context(r.Context()), on, trip.attempt, disposal...)
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

// attempt sends the request once, for an http.Client.
func (t *trip) attempt(ctx context.Context) (*http.Response, error) {
	r := t.request
	resp, a, verdict, err := t.exchange(ctx, r.Context())
	if err != nil {
		return nil, err
	}
	a.observe(verdict)
	if verdict == answered {
		resilience.DoNotCount(ctx)
	}
	if verdict == answered || verdict == (resilience.Verdict{}) {
		return t.guarded(resp, r, a, true), nil
	}
	// Perhaps nobody will need this answer, because another attempt follows, so it
	// holds no permit. If the answer is returned, it lives under the caller's context.
	a.leave()
	t.keep(t.guarded(resp, r, a, false))
	return nil, &StatusError{Method: r.Method, URL: shown(r), Status: resp.StatusCode, Header: resp.Header, verdict: verdict}
}

// check returns what is wrong with the transport, or with a request that can't be sent.
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
