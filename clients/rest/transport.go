package rest

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

// Transport is an http.RoundTripper behind a guard. Its fields are not changed after
// the first use. It is safe for concurrent use. The guard and the base belong to who
// made them.
type Transport struct {
	// Guard stands before the host. Required.
	Guard *resilience.Guard
	// Base sends the requests. Nil: NewBase(64), made with the first request.
	Base http.RoundTripper
	// Routes names operations by pattern, as http.ServeMux has them: "GET /v1/members/{id}".
	// Requests that match none run as the guard's default operation. A pattern with a
	// method that is not idempotent declares that it is, if its operation says so.
	Routes map[string]string
	// MaxBytes bounds a response's body, after decompression. Default: 64 MiB; a
	// negative value means no bound.
	MaxBytes int64
	// Stall is how long a body may bring nothing while it is read. Default: 10 s; a
	// negative value means for ever, within the operation's timeout.
	Stall time.Duration
	// Quiet sends no Backstay headers, for servers of others.
	Quiet bool

	once   sync.Once
	base   http.RoundTripper
	routes *http.ServeMux
	bad    error
}

func (t *Transport) init() {
	t.base = t.Base
	if t.base == nil {
		t.base = NewBase(64)
	}
	t.routes = http.NewServeMux()
	for pattern, operation := range t.Routes {
		if err := handle(t.routes, pattern, operation); err != nil {
			t.bad = errors.Join(t.bad, err)
		}
	}
	if t.Guard == nil {
		t.bad = errors.Join(t.bad, errors.New("rest: Transport.Guard is nil: make a guard for the host"))
	}
}

// named carries an operation's name through a ServeMux.
type named string

func (named) ServeHTTP(http.ResponseWriter, *http.Request) {}

// handle registers a pattern; ServeMux panics about bad ones.
func handle(mux *http.ServeMux, pattern, operation string) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = errors.New("rest: Transport.Routes[" + pattern + "]: " + strings.TrimSpace(toString(v)))
		}
	}()
	mux.Handle(pattern, named(operation))
	return nil
}

func toString(v any) string {
	if err, ok := v.(error); ok {
		return err.Error()
	}
	s, _ := v.(string)
	return s
}

// CloseIdleConnections closes those of the base.
func (t *Transport) CloseIdleConnections() {
	t.once.Do(t.init)
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// operation finds a request's operation, and whether the request is idempotent.
func (t *Transport) operation(r *http.Request) (on resilience.Caller, repeatable bool) {
	repeatable = idempotent(r)
	if len(t.Routes) == 0 {
		return t.Guard, repeatable
	}
	probe := &http.Request{Method: r.Method, URL: r.URL, Host: r.URL.Host}
	h, pattern := t.routes.Handler(probe)
	name, ok := h.(named)
	if !ok {
		return t.Guard, repeatable
	}
	method, _, has := strings.Cut(pattern, " ")
	return t.Guard.Operation(string(name)), repeatable || has && method == r.Method
}

// RoundTrip sends a request under the guard. It returns the response of the last
// attempt, whatever its status, or an error: one of the guard, or a *SendError.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	t.once.Do(t.init)
	if t.bad != nil {
		closeBody(r)
		return nil, t.bad
	}
	on, repeatable := t.operation(r)
	trip := &trip{transport: t, request: r, repeatable: repeatable}
	ctx := r.Context()
	if !repeatable || !resendable(r) {
		ctx = resilience.WithoutHedge(ctx)
	}
	res, err := resilience.Do(ctx, on, trip.attempt, resilience.Dispose(trip.dispose))
	if !trip.began() {
		closeBody(r)
	}
	if err == nil {
		trip.drop()
		return res.Value.response, nil
	}
	if last := trip.take(); last != nil {
		return last.response, nil
	}
	return nil, err
}

func closeBody(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
}

// trip is one RoundTrip: its attempts, and the last answer that was a failure.
type trip struct {
	transport  *Transport
	request    *http.Request
	repeatable bool

	mu      sync.Mutex
	started bool
	last    *answer
}

// answer is a response with what its body needs.
type answer struct {
	response *http.Response
	cancel   context.CancelCauseFunc
}

func (t *trip) began() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.started
}

// attempt sends the request once.
func (t *trip) attempt(ctx context.Context) (*answer, error) {
	t.mu.Lock()
	t.started = true
	t.mu.Unlock()
	t.drop()
	a := begin(ctx, t.request.Context())
	out, err := a.request(t.request, t.transport.Quiet, ctx)
	if err != nil {
		a.cancel(err)
		return nil, a.failed(t.request, err, false)
	}
	resp, err := t.transport.base.RoundTrip(out)
	if err != nil {
		err = a.failed(t.request, err, t.repeatable)
		a.cancel(context.Canceled)
		return nil, err
	}
	verdict, failed := judge(resp.StatusCode, resp.Header, t.repeatable, time.Now())
	if !failed {
		return &answer{t.transport.guarded(resp, a, resilience.Hold(ctx)), a.cancel}, nil
	}
	if !resendable(t.request) {
		verdict.Repeat = resilience.RepeatNever
	}
	// Nobody may need this answer, so it holds no permit. If it is handed over, it
	// lives under the caller's context.
	a.leave()
	t.keep(&answer{t.transport.guarded(resp, a, func() {}), a.cancel})
	return nil, &StatusError{Method: t.request.Method, URL: shown(t.request), Status: resp.StatusCode, Header: resp.Header, verdict: verdict}
}

// keep remembers the last failure's answer.
func (t *trip) keep(a *answer) {
	t.mu.Lock()
	before := t.last
	t.last = a
	t.mu.Unlock()
	before.discard()
}

func (t *trip) take() *answer {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.last
	t.last = nil
	return a
}

func (t *trip) drop() { t.take().discard() }

// dispose is for answers that came too late to be used.
func (t *trip) dispose(a *answer) { a.discard() }

func (a *answer) discard() {
	if a != nil {
		discard(a.response.Body, a.cancel)
		a.cancel(context.Canceled)
	}
}
