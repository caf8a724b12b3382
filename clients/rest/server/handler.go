package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/backstay-go/backstay/internal/routes"
	"github.com/backstay-go/backstay/resilience"
)

// The defaults of a HandlerConfig.
const (
	defaultReadAhead  = 64 << 10
	defaultRetryAfter = time.Second
)

// HandlerConfig says how requests are guarded.
type HandlerConfig struct {
	// Guard is the guard of the service itself. Its bulkhead limits how many requests run
	// and wait; the timeouts of its operations limit how long a request may take. Required.
	// The caller that created it must close it, after the server has ended; later requests
	// are refused as draining. A policy that would run a handler twice, or detached from its
	// connection (retry, hedge, detach), is refused.
	Guard *resilience.Guard
	// Routes maps patterns of http.ServeMux, such as "GET /v1/members/{id}", to operations.
	// Requests that match no pattern run as the guard's default operation.
	Routes map[string]string
	// Upgrades is the guard for requests that ask for another protocol, such as WebSockets.
	// They last for hours and would hold the permits of requests that last milliseconds, so
	// give them a separate guard with a fixed limit. Its timeout limits the time until the
	// connection is hijacked. Default: nil, they run under Guard.
	Upgrades *resilience.Guard
	// Trust says whether the deadline, class and attempt in a request's headers are used.
	// It must be safe for concurrent use. Default: Loopback. See Networks.
	Trust func(*http.Request) bool
	// ReadAhead is the size, in bytes, up to which a body is read before the handler begins,
	// so that the server notices a caller that goes away, and a slow body holds no permit.
	// Bodies of unknown length are not read ahead. Default: 64 KiB; negative: none is.
	ReadAhead int64
	// RetryAfter is the value of Retry-After in refusals, rounded up to a second. Default:
	// 1 s.
	RetryAfter time.Duration
	// Problem returns the type of the problem documents of refusals, and fields that they have
	// in addition, such as a title. It is called by NewHandler only, once for each kind of
	// refusal. refused is the value of Backstay-Refused, or "" if the request may have been
	// processed. Nil: the type is about:blank.
	Problem func(status int, refused string) (kind string, fields map[string]any)
	// OnRefused is called after each request that was answered without its handler. It is
	// called concurrently and must not block. Nil: nothing is called.
	OnRefused func(*http.Request)
	_         struct{}
}

// Handler is an http.Handler behind a guard. It is safe for concurrent use and needs no
// closing. The zero value is not usable. A panic in the wrapped handler propagates to the
// server, after the permit has been released.
type Handler struct {
	next      http.Handler
	trust     func(*http.Request) bool
	readAhead int64
	refusals  refusals
	onRefused func(*http.Request)
	own       *operation
	upgrades  *operation // nil: as others
	routes    routes.Table[*operation]
}

// operation is one kind of request.
type operation struct {
	on    resilience.Caller
	floor floor
}

// NewHandler puts next behind a guard. The error lists every problem.
func NewHandler(next http.Handler, cfg HandlerConfig) (*Handler, error) {
	var errs []error
	if next == nil {
		errs = append(errs, errors.New("server: the handler is nil"))
	}
	if cfg.RetryAfter < 0 {
		errs = append(errs, fmt.Errorf("server: RetryAfter is %v: give a duration above zero, or 0 for 1 s", cfg.RetryAfter))
	}
	if cfg.Guard == nil {
		errs = append(errs, errors.New("server: Guard is nil: make one for the service itself"))
	} else {
		errs = append(errs, runsOnce("Guard", cfg.Guard.Policy())...)
	}
	if cfg.Upgrades != nil {
		errs = append(errs, runsOnce("Upgrades", cfg.Upgrades.Policy())...)
	}
	h := &Handler{next: next, trust: cfg.Trust, readAhead: cfg.ReadAhead, own: &operation{on: cfg.Guard}}
	errs = append(errs, h.route(cfg)...)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if h.trust == nil {
		h.trust = Loopback
	}
	if h.readAhead == 0 {
		h.readAhead = defaultReadAhead
	}
	if cfg.RetryAfter == 0 {
		cfg.RetryAfter = defaultRetryAfter
	}
	if cfg.Upgrades != nil {
		h.upgrades = &operation{on: cfg.Upgrades}
	}
	if h.onRefused = cfg.OnRefused; h.onRefused == nil {
		h.onRefused = func(*http.Request) {}
	}
	var err error
	if h.refusals, err = makeRefusals(cfg.RetryAfter, cfg.Problem); err != nil {
		return nil, err
	}
	return h, nil
}

// runsOnce returns the parts of a policy that would run a handler twice, or detached from
// its connection.
func runsOnce(field string, p resilience.Policy) (errs []error) {
	all := maps.Clone(p.Operations)
	if all == nil {
		all = map[string]resilience.OperationPolicy{}
	}
	all[resilience.DefaultOperation] = p.Default
	for _, name := range slices.Sorted(maps.Keys(all)) {
		o := all[name]
		for _, has := range []struct {
			it   bool
			what string
		}{{o.Retry != nil, "retry"}, {o.Hedge != nil, "hedge"}, {o.Detach, "detach"}} {
			if has.it {
				errs = append(errs, fmt.Errorf("server: %s: the policy of %s/%s has %s: a handler answers a request once, on its connection; drop it", field, p.Name, name, has.what))
			}
		}
	}
	return errs
}

// route registers the routes.
func (h *Handler) route(cfg HandlerConfig) (errs []error) {
	operations := map[string]*operation{resilience.DefaultOperation: h.own}
	known := cfg.Guard.Policy().Operations
	for _, pattern := range slices.Sorted(maps.Keys(cfg.Routes)) {
		name := cfg.Routes[pattern]
		if _, ok := known[name]; !ok && name != resilience.DefaultOperation && cfg.Guard != nil {
			errs = append(errs, fmt.Errorf("server: Routes[%q] is %q: the policy of %s has no such operation", pattern, name, cfg.Guard.Name()))
			continue
		}
		if operations[name] == nil {
			operations[name] = &operation{on: cfg.Guard.Operation(name)}
		}
		if err := h.routes.Add(pattern, operations[name]); err != nil {
			errs = append(errs, fmt.Errorf("server: Routes[%q]: %w", pattern, err))
		}
	}
	return errs
}

func (h *Handler) operation(r *http.Request) *operation {
	if h.upgrades != nil && upgrades(r) {
		return h.upgrades
	}
	if o, ok := h.routes.Find(r, r.Host); ok {
		return o
	}
	return h.own
}

// upgrades reports whether a request asks for another protocol.
func upgrades(r *http.Request) bool {
	if r.ProtoMajor != 1 || get(r.Header, "Upgrade") == "" {
		return false
	}
	for _, v := range r.Header["Connection"] {
		for token := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(token), "upgrade") {
				return true
			}
		}
	}
	return false
}

// ServeHTTP runs the handler as a call of the guard, or refuses.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o, ctx := h.operation(r), r.Context()
	x := exchange{handler: h, operation: o, request: r}
	if h.trust(r) {
		c := callerOf(r.Header)
		if c.timed {
			ok := c.left > 0
			if ok {
				ok, x.probe = o.floor.admits(c.left, time.Now())
			}
			if !ok {
				h.refuse(ctx, w, errLate)
				h.onRefused(r)
				return
			}
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, c.left)
			defer cancel()
		}
		ctx = c.context(ctx)
	}
	// Reading the body makes a caller that waits for "100 Continue" send it.
	if get(r.Header, "Expect") == "" {
		var err error
		if x.body, err = readAhead(ctx, w, r, h.readAhead); err != nil {
			h.refuse(ctx, w, err)
			h.onRefused(r)
			return
		}
	}
	x.writer = writer{ResponseWriter: w}
	x.serve(ctx)
}
