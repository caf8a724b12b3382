package rest

import (
	"errors"
	"net/http"
	"strings"

	"github.com/backstay-go/backstay/resilience"
)

// route is the meaning of a pattern of Transport.Routes. The zero value is no route.
type route struct {
	pattern string
	on      *resilience.Operation
}

// ServeHTTP makes a route an http.Handler, which a ServeMux can find. It is never
// called.
func (*route) ServeHTTP(http.ResponseWriter, *http.Request) {}

// router finds the operation for a request.
type router struct {
	mux *http.ServeMux // nil if there are no routes
}

func newRouter(guard *resilience.Guard, routes map[string]string) (router, error) {
	if len(routes) == 0 || guard == nil {
		return router{}, nil
	}
	var bad error
	mux := http.NewServeMux()
	for pattern, operation := range routes {
		bad = errors.Join(bad, handle(mux, "Transport.Routes", pattern, &route{pattern, guard.Operation(operation)}))
	}
	return router{mux}, bad
}

// newPatterns returns a router that has only patterns. field is the field that lists
// them.
func newPatterns(field string, patterns []string) (router, error) {
	if len(patterns) == 0 {
		return router{}, nil
	}
	var bad error
	mux := http.NewServeMux()
	for _, pattern := range patterns {
		bad = errors.Join(bad, handle(mux, field, pattern, &route{pattern: pattern}))
	}
	return router{mux}, bad
}

// handle registers a pattern. It turns the panic of ServeMux over a bad pattern into an
// error.
func handle(mux *http.ServeMux, field, pattern string, r *route) (err error) {
	defer func() {
		if v := recover(); v != nil {
			text, _ := v.(string)
			if e, ok := v.(error); ok {
				text = e.Error()
			}
			err = errors.New("rest: " + field + "[" + pattern + "]: " + strings.TrimSpace(text))
		}
	}()
	mux.Handle(pattern, r)
	return nil
}

// find returns the route for a request.
func (m router) find(r *http.Request) route {
	if m.mux == nil {
		return route{}
	}
	h, _ := m.mux.Handler(&http.Request{Method: r.Method, URL: r.URL, Host: r.URL.Host})
	if h, ok := h.(*route); ok {
		return *h
	}
	return route{}
}
