package rest

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/backstay-go/backstay/resilience"
)

// ProxyError is the error of a proxy that refused to connect. Nothing was sent to the
// server.
type ProxyError struct {
	// Proxy is the proxy's address, without credentials.
	Proxy  string
	Status int
	Header http.Header
}

// Error names the proxy and its answer.
func (e *ProxyError) Error() string {
	text := fmt.Sprintf("rest: the proxy %s refused to connect: %d %s", e.Proxy, e.Status, http.StatusText(e.Status))
	if after := e.Header.Get("Retry-After"); after != "" {
		text += ", Retry-After: " + after
	}
	return text
}

// Verdict implements resilience.Judged. The proxy is judged as if it were the dependency.
func (e *ProxyError) Verdict() resilience.Verdict {
	v := judge(e.Status, e.Header, true)
	if v.Outcome == resilience.Success || v == answered {
		return answered
	}
	v.Repeat = resilience.RepeatAlways
	return v
}

func refusedByProxy(_ context.Context, proxy *url.URL, _ *http.Request, r *http.Response) error {
	if r.StatusCode == http.StatusOK {
		return nil
	}
	return &ProxyError{Proxy: proxy.Host, Status: r.StatusCode, Header: r.Header}
}
