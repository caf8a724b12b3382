package rest

import (
	"context"
	"net/http"
	"strings"
	"time"
)

// Exchange is an attempt's request and what came of it, for telemetry. But for Err, its
// fields have few values as long as the hosts are few.
type Exchange struct {
	Method string
	// Template is the path of the pattern that the request matched, such as
	// "/v1/members/{id}"; empty: none.
	Template string
	// Host is where it went, with the port if there is one; Scheme is http or https.
	Scheme, Host string
	// Protocol is the answer's, such as "HTTP/1.1"; empty: there is no answer.
	Protocol string
	// Status is the answer's; 0: there is none, and Err says why.
	Status int
	Err    error
	// Resends is how many attempts of the call were before, hedges included.
	Resends int
	// Took is the time to the answer's headers; for small answers, to their end.
	Took time.Duration
	_    struct{}
}

// observe is called for each attempt; nil: nobody wants to know.
type observe func(ctx context.Context, e Exchange)

// tell tells of an attempt that began then.
func (f observe) tell(ctx context.Context, a *attempt, out *http.Request, pattern string, resp *http.Response, err error, began time.Time) {
	if f == nil {
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
	f(ctx, e)
}

// templateOf is a pattern without its method and host, and without "{$}".
func templateOf(pattern string) string {
	if i := strings.IndexByte(pattern, '/'); i >= 0 {
		return strings.TrimSuffix(pattern[i:], "{$}")
	}
	return ""
}
