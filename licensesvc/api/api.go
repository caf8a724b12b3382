package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/backstay-go/backstay/clients/rest/server"
	"github.com/backstay-go/backstay/licensesvc/app"
	"github.com/backstay-go/backstay/licensesvc/timeline"
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
	History(ctx context.Context, member string, points ...timeline.Point) (app.Past, error)
}

// Config holds the parts of the API.
type Config struct {
	// App does the work. Required.
	App App
	// Views answers what is read from read models. Nil: the API has no such requests.
	Views Views
	// Guard is the guard of the service itself. It limits how many requests run and wait, and
	// how long each may take; the caller's Backstay-Timeout-Ms shortens that time. Make it
	// with Policy. Required. The caller that made it must close it.
	Guard *resilience.Guard
	// Trust reports whether the Backstay headers of a request count. Nil: they count from
	// callers on loopback.
	Trust func(*http.Request) bool
	// Secured says in the description that callers need tokens, which a Front checks.
	// Default: false.
	Secured bool
	// Shed returns whether a request of a class is refused at once, before its body is read,
	// because the process has too little left. It is called for each request and must be quick.
	// Nil: no request is refused for this reason.
	Shed func(resilience.Criticality) bool
	// Wrap wraps what runs behind the guard, for example with spans. Nil: it is not wrapped.
	Wrap func(http.Handler) http.Handler
	// OnRequest is called after each request, for example for a dashboard, also after one that
	// was refused. It is called concurrently and must not block. Nil: nothing is called.
	OnRequest func(RequestLog)
	// Clock returns the time as of which statuses are shown. Nil: time.Now.
	Clock func() time.Time
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
	// Code says why the rules refused. It has few values.
	Code string
	// On lists the data on which the answer was decided.
	On []Basis
	// Took is the duration of the request.
	Took time.Duration
}

// API is the handler. It is safe for concurrent use and need not be closed. A service puts a
// Front before it, which checks who calls.
type API struct {
	app       App
	read      Views
	secured   bool
	shed      func(resilience.Criticality) bool
	onRequest func(RequestLog)
	clock     func() time.Time
	log       *slog.Logger
	mux       *http.ServeMux
	guarded   *server.Handler // the mux behind the guard
	classes   *http.ServeMux  // only to find the class of a request that may be refused
	overload  refusal
	spec      *huma.OpenAPI
	routes    []Route
}

// New checks the configuration and returns the handler.
func New(cfg Config) (*API, error) {
	if cfg.App == nil {
		return nil, errors.New("api: App is nil: give the service")
	}
	a := &API{app: cfg.App, read: cfg.Views, secured: cfg.Secured, shed: cfg.Shed, onRequest: cfg.OnRequest, clock: cfg.Clock, log: cfg.Log, mux: http.NewServeMux()}
	if a.onRequest == nil {
		a.onRequest = func(RequestLog) {}
	}
	if a.clock == nil {
		a.clock = time.Now
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	if cfg.Wrap == nil {
		cfg.Wrap = func(h http.Handler) http.Handler { return h }
	}
	var err error
	if a.guarded, err = server.NewHandler(cfg.Wrap(a.readBody(a.mux)), server.HandlerConfig{Guard: cfg.Guard, Routes: guardRoutes, Trust: cfg.Trust,
		Problem: func(status int, refused string) (string, map[string]any) {
			k := kindOfRefusal(status, refused)
			return k.Type(), map[string]any{"title": k.title(), "outcome": kinds[k].outcome}
		},
		OnRefused: func(*http.Request) { a.refused() },
	}); err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	a.overload, a.classes = newRefusal(), classMux(cfg.Guard.Policy())
	h := humago.New(a.mux, description())
	a.spec = h.OpenAPI()
	h.UseMiddleware(a.bound(h))
	a.requests(h)
	a.renewals(h)
	a.reports(h)
	a.promises(h)
	a.queries(h)
	if a.read != nil {
		a.views(h)
	}
	a.history(h)
	for _, file := range []string{".json", ".yaml", "-3.0.json", "-3.0.yaml"} {
		a.routes = append(a.routes, Route{Pattern: "GET /openapi" + file, Scope: Open, Handler: a.mux})
	}
	return a, nil
}

// description returns what the OpenAPI description says of the whole.
func description() huma.Config {
	spec := huma.DefaultConfig("Backstay license service", "1")
	// The API must serve no page that loads scripts from elsewhere, and add no schema links to
	// answers.
	spec.DocsPath, spec.SchemasPath, spec.CreateHooks = "", "", nil
	spec.Info.Description = "Licenses for offline viewing. Every answer says what data it was decided on. Every error is a problem document (RFC 9457)."
	spec.Formats = map[string]huma.Format{"application/json": exactJSON, "json": exactJSON}
	spec.Transformers = append(spec.Transformers, humaErrors)
	return spec
}

// OpenAPI returns the description of the API as indented JSON.
func (a *API) OpenAPI() ([]byte, error) { return a.spec.MarshalJSON() }

// Routes returns the routes that the API serves, for a Front. The description of the API needs
// no token: it is the same for everybody, contains nothing about members, and tools that
// generate clients read it.
func (a *API) Routes() []Route { return a.routes }

// ServeHTTP serves one request. Requests for the description bypass the guard.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/openapi") {
		a.mux.ServeHTTP(w, r)
		return
	}
	if a.shed != nil && a.shed(a.classOf(r)) {
		a.overload.write(w, r)
		a.refused()
		return
	}
	if member := r.PathValue("member"); member != "" {
		r = r.WithContext(resilience.WithShareKey(r.Context(), member))
	}
	a.guarded.ServeHTTP(w, r)
}

// refused reports a request that was refused before it began.
func (a *API) refused() {
	a.onRequest(RequestLog{Kind: "refused", Status: http.StatusServiceUnavailable, Outcome: OutcomeUnavailable})
}
