package rest

import (
	"context"
	"net/http"
	"strings"
	"time"
)

// Exchange is the request of an attempt and its result, for telemetry. With few hosts its
// fields, except Err, have few different values, so that they can be labels of metrics.
type Exchange struct {
	Method string
	// Template is the path of the pattern that the request matched, such as
	// "/v1/members/{id}"; empty: none.
	Template string
	// Host is the host that it was sent to, with the port if there is one; Scheme is http
	// or https.
	Scheme, Host string
	// Protocol is the answer's, such as "HTTP/1.1"; empty: there is no answer.
	Protocol string
	// Status is the answer's; 0: there is none, and Err says why.
	Status int
	Err    error
	// Resends is the number of earlier attempts of the same call, hedges included.
	Resends int
	// Took is the time to the answer's headers; for small answers, to their end.
	Took time.Duration
	_    struct{}
}

// Observer follows the attempts of a Transport or Client; clients/rest/telemetry has one.
// Its methods are called on the attempt's goroutine and under its context; no lock is
// held. They must be safe for concurrent use, and must not panic.
type Observer interface {
	// OnRequest is called before an attempt is sent. It may add to the header, for example
	// traceparent; it must not change the values that are there.
	OnRequest(ctx context.Context, header http.Header)
	// OnExchange is called when an attempt has its answer, or an error.
	OnExchange(ctx context.Context, e Exchange)
}

// observe tells the observer of an attempt that began then.
func (s *sender) observe(ctx context.Context, a *attempt, out *http.Request, pattern string, resp *http.Response, err error, began time.Time) {
	if s.observer == nil {
		return
	}
	e := Exchange{Method: out.Method, Template: templateOf(pattern), Scheme: out.URL.Scheme, Host: out.URL.Host,
		Resends: int(a.number) - 1, Took: time.Since(began)}
	if e.Method == "" {
		e.Method = http.MethodGet
	}
	if resp != nil {
		e.Protocol, e.Status = resp.Proto, resp.StatusCode
	}
	if err != nil {
		e.Err = a.explain(err)
	}
	s.observer.OnExchange(ctx, e)
}

// templateOf is a pattern without its method and host, and without "{$}".
func templateOf(pattern string) string {
	if i := strings.IndexByte(pattern, '/'); i >= 0 {
		return strings.TrimSuffix(pattern[i:], "{$}")
	}
	return ""
}
