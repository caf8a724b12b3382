package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/backstay-go/backstay/clients/rest/server"
	"github.com/backstay-go/backstay/licensesvc/app"
	"github.com/backstay-go/backstay/resilience"
)

// App carries out requests. *app.Service implements it.
type App interface {
	Request(ctx context.Context, in app.RequestInput) (app.Answer, error)
	Renew(ctx context.Context, in app.RenewInput) (app.Answer, error)
	Download(ctx context.Context, in app.ReportInput) (app.Answer, error)
	Play(ctx context.Context, in app.ReportInput) (app.Answer, error)
	Release(ctx context.Context, in app.ReportInput) (app.Answer, error)
	Revoke(ctx context.Context, in app.ReportInput, reason string) (app.Answer, error)
	Redeem(ctx context.Context, member, signed string, meta app.Meta) (app.Answer, error)
	Licenses(ctx context.Context, member string) (app.View, error)
	Show(ctx context.Context, member, id string) (app.Answer, error)
	Explain(ctx context.Context, member, id string) (app.Story, error)
}

// Config holds the parts of the API.
type Config struct {
	// App does the work. Required.
	App App
	// Guard is the guard of the service itself. It limits how many requests run and wait, and
	// how long each may take; the caller's Backstay-Timeout-Ms shortens that time. Make it
	// with Policy. Required. The caller that made it must close it.
	Guard *resilience.Guard
	// Trust reports whether the Backstay headers of a request count. Nil: they count from
	// callers on loopback.
	Trust func(*http.Request) bool
	// Tokens decides which caller may do what. Nil: every caller may do everything, which
	// suits only a service on loopback.
	Tokens *Tokens
	// Ready returns why the service should get no requests, or "". Nil: it is always ready.
	Ready func() string
	// OnRequest is called after each answered request, for example for a dashboard. It is
	// called concurrently and must not block. Nil: nothing is called.
	OnRequest func(RequestLog)
	// Log receives internal errors. Nil: nothing is logged.
	Log *slog.Logger
	_   struct{}
}

// RequestLog describes one answered request.
type RequestLog struct {
	Kind, Member, License, Title string
	// Status is the HTTP status. Outcome is the result in one word.
	Status  int
	Outcome string
	// On lists the data on which the answer was decided.
	On []Basis
	// Took is the duration of the request.
	Took time.Duration
}

// API is the handler. It is safe for concurrent use and need not be closed.
type API struct {
	app       App
	tokens    *Tokens
	ready     func() string
	onRequest func(RequestLog)
	log       *slog.Logger
	mux       *http.ServeMux
	guarded   *server.Handler // the mux behind the guard
	spec      *huma.OpenAPI
}

// New checks the configuration and returns the handler.
func New(cfg Config) (*API, error) {
	if cfg.App == nil {
		return nil, errors.New("api: App is nil: give the service")
	}
	a := &API{app: cfg.App, tokens: cfg.Tokens, ready: cfg.Ready, onRequest: cfg.OnRequest, log: cfg.Log, mux: http.NewServeMux()}
	var err error
	if a.guarded, err = server.NewHandler(a.mux, server.HandlerConfig{Guard: cfg.Guard, Routes: routes, Trust: cfg.Trust}); err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	if a.ready == nil {
		a.ready = func() string { return "" }
	}
	if a.onRequest == nil {
		a.onRequest = func(RequestLog) {}
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	spec := huma.DefaultConfig("Backstay license service", "1")
	// The API must serve no page that loads scripts from elsewhere, and add no schema links to
	// answers.
	spec.DocsPath, spec.SchemasPath, spec.CreateHooks = "", "", nil
	spec.Info.Description = "Licenses for offline viewing. Every answer says what data it was decided on."
	spec.Components.SecuritySchemes = map[string]*huma.SecurityScheme{"token": {Type: "http", Scheme: "bearer"}}
	h := humago.New(a.mux, spec)
	a.spec = h.OpenAPI()
	h.UseMiddleware(a.bound(h))
	a.requests(h)
	a.renewals(h)
	a.reports(h)
	a.promises(h)
	a.queries(h)
	a.health()
	return a, nil
}

// OpenAPI returns the description of the API as indented JSON.
func (a *API) OpenAPI() ([]byte, error) { return a.spec.MarshalJSON() }

// ServeHTTP serves one request. Requests for health bypass the guard.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/livez" || r.URL.Path == "/readyz" {
		a.mux.ServeHTTP(w, r)
		return
	}
	a.guarded.ServeHTTP(w, r)
}

// health distinguishes live from ready: an instance that is not live is restarted, and one
// that is not ready gets no requests.
func (a *API) health() {
	answer := func(w http.ResponseWriter, status int, text string) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(status)
		fmt.Fprintln(w, text)
	}
	a.mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "live") })
	a.mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if why := a.ready(); why != "" {
			answer(w, http.StatusServiceUnavailable, "not ready: "+why)
			return
		}
		answer(w, http.StatusOK, "ready")
	})
}
