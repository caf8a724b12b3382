package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Route is one pattern of the service with the right that its callers need.
type Route struct {
	// Pattern is a pattern of http.ServeMux with a method. Required.
	Pattern string
	// Scope is what a token must allow. Required; Open needs no token.
	Scope Scope
	// OwnPage admits browsers only if the request comes from a page of the service itself.
	// Default: false, which also admits programs that send no Origin.
	OwnPage bool
	// Handler serves the route. Required.
	Handler http.Handler
}

// FrontConfig holds the parts of a Front.
type FrontConfig struct {
	// Routes lists everything that is served. Required.
	Routes []Route
	// Tokens decides which caller may do what. Nil: every caller may do everything, which suits
	// only a service on loopback.
	Tokens *Tokens
	// Hosts lists names of the service, in addition to localhost and to IP addresses. Without
	// tokens a request for another name is refused, because a web page could otherwise reach a
	// service on loopback by giving its own name that address (DNS rebinding). Default: none.
	Hosts []string
	// PerSecond is how many requests one caller may make per second: one token, or without
	// tokens one address. Twice as many may come at once. Default: 0, no bound.
	PerSecond float64
	// OnRefused is called for each request that is refused here. It is called concurrently and
	// must not block. Nil: nothing is called.
	OnRefused func(RequestLog)
	_         struct{}
}

// Front is the front door of the service. Every request passes through it before anything
// else: it checks Host, Origin, token and rate, and answers what no route serves. It is safe
// for concurrent use and need not be closed.
type Front struct {
	cfg    FrontConfig
	hosts  []string
	origin *http.CrossOriginProtection
	rates  *rates // nil: no bound
	routes *http.ServeMux
}

// Caller is the caller of a request, as the front door found it.
type Caller struct {
	// Actor is the bearer of the token. It is empty without tokens.
	Actor string
	// Name is Actor, or the remote address if there is none. It is used for limits per caller.
	Name string
}

type callerKey struct{}

// CallerOf returns the caller of a request that a Front has let through.
func CallerOf(ctx context.Context) Caller {
	c, _ := ctx.Value(callerKey{}).(Caller)
	return c
}

// NewFront checks the configuration and returns the handler. The error names every problem.
func NewFront(cfg FrontConfig) (*Front, error) {
	f := &Front{cfg: cfg, origin: http.NewCrossOriginProtection(), routes: http.NewServeMux()}
	var errs []error
	if cfg.PerSecond < 0 {
		errs = append(errs, fmt.Errorf("api: PerSecond is %g: give requests per second, or 0 for no bound", cfg.PerSecond))
	}
	if cfg.PerSecond > 0 {
		f.rates = newRates(cfg.PerSecond)
	}
	for _, h := range cfg.Hosts {
		f.hosts = append(f.hosts, strings.ToLower(strings.TrimSuffix(h, ".")))
	}
	for _, route := range cfg.Routes {
		if route.Handler == nil || route.Scope == "" || !strings.Contains(route.Pattern, " ") {
			errs = append(errs, fmt.Errorf("api: route %q needs a method, a scope and a handler", route.Pattern))
			continue
		}
		errs = append(errs, f.handle(route))
	}
	if f.cfg.OnRefused == nil {
		f.cfg.OnRefused = func(RequestLog) {}
	}
	return f, errors.Join(errs...)
}

// handle registers a route. ServeMux panics for a bad pattern.
func (f *Front) handle(route Route) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("api: route %q: %v", route.Pattern, v)
		}
	}()
	f.routes.HandleFunc(route.Pattern, func(w http.ResponseWriter, r *http.Request) {
		if route.Scope == Open {
			route.Handler.ServeHTTP(w, r)
			return
		}
		who, refusal := f.admit(r, route)
		if refusal != nil {
			f.refuse(w, r, refusal)
			return
		}
		route.Handler.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, who)))
	})
	return nil
}

// ServeHTTP admits and serves one request, or refuses it with a problem document.
func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	none, pattern := f.routes.Handler(r)
	if pattern != "" {
		f.routes.ServeHTTP(w, r)
		return
	}
	_, refusal := f.admit(r, Route{Scope: anyScope})
	if refusal == nil {
		refusal = unserved(none, r)
	}
	f.refuse(w, r, refusal)
}

// Admits reports whether the request carries a token for a scope. Without tokens it does.
func (f *Front) Admits(r *http.Request, scope Scope) bool {
	_, refusal := f.cfg.Tokens.Admit(r.Header.Get("Authorization"), scope, "")
	return refusal == nil
}

// admit returns the caller of a request, or why the request is refused.
func (f *Front) admit(r *http.Request, route Route) (Caller, *Problem) {
	if f.cfg.Tokens == nil && !f.serves(r.Host) {
		return Caller{}, problemOf(KindWrongHost, http.StatusMisdirectedRequest, fmt.Sprintf("the service is not called %.100q; use its address, localhost, or a name given with --host", r.Host))
	}
	if f.origin.Check(r) != nil || route.OwnPage && !ownPage(r) {
		return Caller{}, problemOf(KindForbidden, http.StatusForbidden, "the request comes from a page of another site; only the service's own page may send it")
	}
	who, refusal := f.cfg.Tokens.Admit(r.Header.Get("Authorization"), route.Scope, r.PathValue("member"))
	if refusal != nil {
		return Caller{}, refusal
	}
	c := Caller{Actor: who, Name: who}
	if who == "" {
		c.Name = address(r)
	}
	if f.rates == nil {
		return c, nil
	}
	if wait := f.rates.take(c.Name, time.Now()); wait > 0 {
		p := problemOf(KindTooMany, http.StatusTooManyRequests, fmt.Sprintf("the caller may make %g requests per second; send it again later", f.cfg.PerSecond))
		p.RetryAfter = int((wait + time.Second - 1) / time.Second)
		p.headers = http.Header{"Retry-After": {strconv.Itoa(p.RetryAfter)}, "Backstay-Refused": {"overload"}}
		return c, p
	}
	return c, nil
}

// serves reports whether the service has this name. A page can only use a name that it
// controls against the service, never an IP address.
func (f *Front) serves(host string) bool {
	name := host
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		name = host[:i]
	}
	name = strings.ToLower(strings.TrimSuffix(strings.Trim(name, "[]"), "."))
	if name == "" || name == "localhost" || slices.Contains(f.hosts, name) {
		return true
	}
	_, err := netip.ParseAddr(name)
	return err == nil
}

// ownPage reports whether a request comes from a page of the service, or from a program that
// shows a token itself. A browser may add other credentials to any page's request.
func ownPage(r *http.Request) bool {
	switch site := r.Header.Get("Sec-Fetch-Site"); {
	case site != "":
		return site == "same-origin"
	case r.Header.Get("Origin") != "":
		return true // It was compared with Host.
	}
	kind, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.EqualFold(kind, "Bearer")
}

// address returns the remote address without its port.
func address(r *http.Request) string {
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return a.Addr().Unmap().WithZone("").String()
}

// unserved returns the problem of a request that no route serves. none is the answer of the
// ServeMux, which knows the methods that are allowed.
func unserved(none http.Handler, r *http.Request) *Problem {
	w := &statusWriter{header: http.Header{}}
	none.ServeHTTP(w, r)
	allow := w.header.Get("Allow")
	if w.status != http.StatusMethodNotAllowed {
		return problemOf(KindNoRoute, http.StatusNotFound, "there is nothing at this address; /openapi.json lists what there is")
	}
	p := problemOf(KindNoMethod, http.StatusMethodNotAllowed, fmt.Sprintf("the method %.20q is not allowed here; use %s", r.Method, allow))
	p.headers = http.Header{"Allow": {allow}}
	return p
}

// statusWriter keeps the status and the headers of an answer.
type statusWriter struct {
	header http.Header
	status int
}

func (w *statusWriter) Header() http.Header         { return w.header }
func (w *statusWriter) Write(b []byte) (int, error) { return len(b), nil }
func (w *statusWriter) WriteHeader(status int)      { w.status = status }

// refuse writes a problem and reports it.
func (f *Front) refuse(w http.ResponseWriter, r *http.Request, p *Problem) {
	f.cfg.OnRefused(RequestLog{Kind: "front", Status: p.Status, Outcome: p.Outcome})
	p.write(w, r)
}
