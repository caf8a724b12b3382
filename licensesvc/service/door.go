package service

import (
	"context"
	"fmt"
	"net"
	"net/http"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"

	"github.com/backstay-go/backstay/licensesvc/api"
)

// door makes the handlers and puts the front door before all of them.
func (in *Instance) door(context.Context) (err error) {
	cfg := in.cfg
	in.api, err = api.New(api.Config{App: in.app, Views: in.views, Guard: in.own, Trust: cfg.Trust, Secured: cfg.Tokens != nil, Shed: in.headroom.shed,
		Wrap: in.traced, OnRequest: in.traffic.record, Clock: cfg.Clock, Log: cfg.Log})
	if err != nil {
		return err
	}
	if in.dashboard, err = in.page(); err != nil {
		return err
	}
	in.front, err = api.NewFront(api.FrontConfig{Routes: in.routes(), Tokens: cfg.Tokens, Hosts: cfg.Hosts, PerSecond: cfg.CallerRate, OnRefused: in.traffic.record})
	return err
}

// routes returns everything that the service serves. Only the health probes and the description
// of the API are open to callers without a token.
func (in *Instance) routes() []api.Route {
	return append(in.api.Routes(),
		api.Route{Pattern: "GET /livez", Scope: api.Open, Handler: http.HandlerFunc(livez)},
		api.Route{Pattern: "GET /readyz", Scope: api.Open, Handler: http.HandlerFunc(in.readyz)},
		api.Route{Pattern: "GET /metrics", Scope: api.Operate, Handler: in.cfg.Observed.Metrics},
		api.Route{Pattern: "GET /{$}", Scope: api.Operate, Handler: http.RedirectHandler("/dashboard/", http.StatusFound)},
		api.Route{Pattern: "GET /dashboard/", Scope: api.Operate, Handler: in.dashboard},
		api.Route{Pattern: "GET /dashboard/events", Scope: api.Operate, Handler: in.dashboard},
		api.Route{Pattern: "POST /dashboard/faults/{id}", Scope: api.Operate, OwnPage: true, Handler: in.dashboard},
	)
}

// traced makes a server span of every request that is not refused.
func (in *Instance) traced(next http.Handler) http.Handler {
	return otelhttp.NewHandler(next, "licensesvc", otelhttp.WithTracerProvider(in.cfg.Observed.Tracer), otelhttp.WithMeterProvider(in.cfg.Observed.Meter),
		otelhttp.WithPropagators(propagator),
		otelhttp.WithSpanNameFormatter(func(_ string, r *http.Request) string {
			if r.Pattern != "" {
				return r.Pattern
			}
			return r.Method
		}))
}

// OnLoopback reports whether an address to listen on can be reached from this machine only.
func OnLoopback(listen string) (bool, error) {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return false, fmt.Errorf("%q: give host:port, such as 127.0.0.1:8080", listen)
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback(), nil
}

// Routes returns what the service serves, with the scopes that callers need.
func (in *Instance) Routes() []api.Route { return in.routes() }
