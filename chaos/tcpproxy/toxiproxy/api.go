package toxiproxy

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/tcpproxy"
)

// version is the version of Toxiproxy that has this interface.
const version = "2.12.0"

// maxBody bounds what a request may send.
const maxBody = 1 << 20

// Config configures the interface and its proxies. The zero value is valid.
type Config struct {
	// Seed decides which connections a toxicity below 1 hits, and every jitter.
	Seed uint64
	// Listeners get an event for every fault.
	Listeners []chaos.Listener
	// Token, if set, is required in each request, as "Authorization: Bearer TOKEN". Set it
	// wherever anybody but the users of this machine can reach the interface.
	Token string
	// DeadMan ends every toxic when no request has come for this long, because the client
	// that made them may be gone. Zero: toxics stay until their own end.
	DeadMan time.Duration
	_       struct{}
}

// API is the interface and its proxies. It is safe for concurrent use. The caller of New
// must close it.
type API struct {
	cfg Config
	ctx context.Context
	mux *http.ServeMux

	mu          sync.Mutex
	proxies     map[string]*entry
	lastRequest time.Time
}

// entry is one proxy, as the interface shows it.
type entry struct {
	Name     string  `json:"name"`
	Listen   string  `json:"listen"`
	Upstream string  `json:"upstream"`
	Enabled  bool    `json:"enabled"`
	Toxics   []toxic `json:"toxics"`

	asked    string // the address to listen on, as it was requested
	injector *chaos.Injector
	proxy    *tcpproxy.Proxy // nil while disabled
}

// failure is an error in the form in which the interface returns it.
type failure struct {
	Text   string `json:"error"`
	Status int    `json:"status"`

	body any // what is answered; nil: the failure
}

func (f failure) because(text string) *failure {
	f.Text += ": " + text
	return &f
}

var (
	errBody         = failure{Text: "bad request body", Status: http.StatusBadRequest}
	errMissing      = failure{Text: "missing required field", Status: http.StatusBadRequest}
	errStream       = failure{Text: "stream was invalid, can be either upstream or downstream", Status: http.StatusBadRequest}
	errType         = failure{Text: "invalid toxic type", Status: http.StatusBadRequest}
	errProxy        = failure{Text: "proxy not found", Status: http.StatusNotFound}
	errToxic        = failure{Text: "toxic not found", Status: http.StatusNotFound}
	errProxyExists  = failure{Text: "proxy already exists", Status: http.StatusConflict}
	errToxicExists  = failure{Text: "toxic already exists", Status: http.StatusConflict}
	errToken        = failure{Text: "token missing or wrong: send it as Authorization: Bearer TOKEN", Status: http.StatusUnauthorized}
	errUserAgent    = failure{Text: "User agent not allowed", Status: http.StatusForbidden}
	errCannotListen = failure{Text: "cannot listen", Status: http.StatusInternalServerError}
)

// New makes the interface. It returns chaos.ErrOff if the process forbids faults. Proxies
// live until Close, even if the context ends before.
func New(ctx context.Context, cfg Config) (*API, error) {
	if err := chaos.Refused(); err != nil {
		return nil, err
	}
	if cfg.DeadMan < 0 {
		return nil, fmt.Errorf("toxiproxy: DeadMan is %s: give a duration above zero, or 0 for toxics that stay", cfg.DeadMan)
	}
	a := &API{cfg: cfg, ctx: context.WithoutCancel(ctx), mux: http.NewServeMux(), proxies: map[string]*entry{}, lastRequest: time.Now()}
	a.routes()
	return a, nil
}

// Close ends every proxy.
func (a *API) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	var errs []error
	for name, e := range a.proxies {
		errs = append(errs, e.stop())
		e.injector.Stop()
		delete(a.proxies, name)
	}
	return errors.Join(errs...)
}

// ServeHTTP answers one request. Browsers are refused, so that no web page can drive
// the proxies of the person who looks at it.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Toxiproxy-Request-Id", rand.Text())
	if strings.HasPrefix(r.UserAgent(), "Mozilla/") {
		http.Error(w, errUserAgent.Text, errUserAgent.Status)
		return
	}
	if want := "Bearer " + a.cfg.Token; a.cfg.Token != "" && subtle.ConstantTimeCompare([]byte(want), []byte(r.Header.Get("Authorization"))) != 1 {
		answer(w, errToken.Status, errToken)
		return
	}
	a.keepAlive()
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	a.mux.ServeHTTP(w, r)
}

// keepAlive passes a sign of life on to the injectors. Toxics that DeadMan has ended are
// removed, so that they are not listed as if they still acted.
func (a *API) keepAlive() {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	lapsed := a.cfg.DeadMan > 0 && now.Sub(a.lastRequest) >= a.cfg.DeadMan
	a.lastRequest = now
	for _, e := range a.proxies {
		if lapsed {
			e.Toxics = []toxic{}
			// A plan without rules is never refused.
			_ = a.apply(e)
			e.injector.Stop()
			e.injector.Start()
		}
		e.injector.KeepAlive()
	}
}

func answer(w http.ResponseWriter, status int, body any) {
	if body != nil {
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(status)
	if body != nil {
		// An error means that the client is gone.
		_ = json.NewEncoder(w).Encode(body)
	}
}

// handle registers a route. It runs under the lock, and its result is sent as the answer.
func (a *API) handle(pattern string, status int, do func(r *http.Request) (any, *failure)) {
	a.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		defer a.mu.Unlock()
		body, bad := do(r)
		code := status
		if bad != nil { // the route's other result is then ignored
			code, body = bad.Status, bad.body
			if body == nil {
				body = bad
			}
		}
		answer(w, code, body)
	})
}

func decode(r *http.Request, into any) *failure {
	if err := json.NewDecoder(r.Body).Decode(into); err != nil {
		return errBody.because(err.Error())
	}
	return nil
}

func (a *API) routes() {
	a.handle("GET /proxies", 200, func(*http.Request) (any, *failure) { return a.proxies, nil })
	a.handle("POST /proxies", 201, a.create)
	a.handle("POST /populate", 201, a.populate)
	a.handle("POST /reset", 204, a.reset)
	a.mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, map[string]string{"version": version}) })
	a.mux.HandleFunc("GET /metrics", a.metrics)
	one := func(pattern string, status int, do func(*http.Request, *entry) (any, *failure)) {
		a.handle(pattern, status, func(r *http.Request) (any, *failure) {
			e, ok := a.proxies[r.PathValue("proxy")]
			if !ok {
				return nil, &errProxy
			}
			return do(r, e)
		})
	}
	one("GET /proxies/{proxy}", 200, func(_ *http.Request, e *entry) (any, *failure) { return e, nil })
	// Toxiproxy does not have this route: the open connections, and the toxics that acted on
	// each.
	one("GET /proxies/{proxy}/connections", 200, func(_ *http.Request, e *entry) (any, *failure) {
		if e.proxy == nil {
			return []tcpproxy.Connection{}, nil
		}
		return e.proxy.Connections(), nil
	})
	one("DELETE /proxies/{proxy}", 204, func(_ *http.Request, e *entry) (any, *failure) {
		a.remove(e)
		return nil, nil
	})
	one("GET /proxies/{proxy}/toxics", 200, func(_ *http.Request, e *entry) (any, *failure) { return e.Toxics, nil })
	one("POST /proxies/{proxy}/toxics", 200, a.addToxic)
	toxicAt := func(pattern string, status int, do func(*http.Request, *entry, int) (any, *failure)) {
		one(pattern, status, func(r *http.Request, e *entry) (any, *failure) {
			i := slices.IndexFunc(e.Toxics, func(t toxic) bool { return t.Name == r.PathValue("toxic") })
			if i < 0 {
				return nil, &errToxic
			}
			return do(r, e, i)
		})
	}
	toxicAt("GET /proxies/{proxy}/toxics/{toxic}", 200, func(_ *http.Request, e *entry, i int) (any, *failure) { return e.Toxics[i], nil })
	toxicAt("DELETE /proxies/{proxy}/toxics/{toxic}", 204, func(_ *http.Request, e *entry, i int) (any, *failure) {
		e.Toxics = slices.Delete(slices.Clone(e.Toxics), i, i+1)
		return nil, a.apply(e)
	})
	for _, method := range []string{"POST", "PATCH"} {
		one(method+" /proxies/{proxy}", 200, a.update)
		toxicAt(method+" /proxies/{proxy}/toxics/{toxic}", 200, a.updateToxic)
	}
}

// reset removes all toxics and starts all proxies.
func (a *API) reset(*http.Request) (any, *failure) {
	for _, e := range a.proxies {
		e.Toxics = []toxic{}
		if bad := a.apply(e); bad != nil {
			return nil, bad
		}
		if bad := a.start(e); bad != nil {
			return nil, bad
		}
	}
	return nil, nil
}

// metrics serves Toxiproxy's metrics in the text format of Prometheus.
func (a *API) metrics(w http.ResponseWriter, _ *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	names := make([]string, 0, len(a.proxies))
	for name := range a.proxies {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, m := range []struct {
		name     string
		up, down func(tcpproxy.Stats) int64
	}{
		{"received", func(s tcpproxy.Stats) int64 { return s.CameUp }, func(s tcpproxy.Stats) int64 { return s.CameDown }},
		{"sent", func(s tcpproxy.Stats) int64 { return s.Up }, func(s tcpproxy.Stats) int64 { return s.Down }},
	} {
		fmt.Fprintf(w, "# TYPE toxiproxy_proxy_%s_bytes_total counter\n", m.name)
		for _, name := range names {
			e := a.proxies[name]
			if e.proxy == nil {
				continue
			}
			s := e.proxy.Stats()
			fmt.Fprintf(w, "toxiproxy_proxy_%s_bytes_total{direction=\"upstream\",listener=%q,proxy=%q,upstream=%q} %d\n", m.name, e.Listen, name, e.Upstream, m.up(s))
			fmt.Fprintf(w, "toxiproxy_proxy_%s_bytes_total{direction=\"downstream\",listener=%q,proxy=%q,upstream=%q} %d\n", m.name, e.Listen, name, e.Upstream, m.down(s))
		}
	}
}
