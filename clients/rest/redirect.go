package rest

import (
	"net/http"
	"net/url"
	"strings"
)

// KeepToOrigin is an http.Client's CheckRedirect that follows redirects within the
// origin (scheme, host and port) only, at most ten. A redirect to another origin is not
// followed: the caller gets the 3xx response itself. So credentials, API keys, idempotency
// keys and bodies, which net/http would send on to other hosts and ports, stay within the
// origin.
func KeepToOrigin(req *http.Request, via []*http.Request) error {
	if len(via) >= 10 || origin(req.URL) != origin(via[0].URL) {
		return http.ErrUseLastResponse
	}
	return nil
}

// defaultPorts are the ports of the schemes.
var defaultPorts = map[string]string{"http": "80", "https": "443"}

// origin is the origin of an address by RFC 6454.
func origin(u *url.URL) string {
	scheme, port := strings.ToLower(u.Scheme), u.Port()
	if port == "" {
		port = defaultPorts[scheme]
	}
	return scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}

// Client returns an http.Client over the transport that keeps redirects within their
// origin. It has no Timeout, because the guard sets timeouts. http.Client's own Timeout
// costs two goroutines per call, and hides which policy ended the call.
func (t *Transport) Client() *http.Client {
	return &http.Client{Transport: t, CheckRedirect: KeepToOrigin}
}
