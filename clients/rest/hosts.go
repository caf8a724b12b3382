package rest

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Hosts sends each request over the transport of its host, so that one http.Client serves
// several dependencies, each with its own guard. A key is a host as it stands in a URL, in
// lower case, with the port if there is one; the default port of the scheme (80, 443) may
// be given or left out. A request to a host that is not in the map is refused, because no
// call may go out without a guard. The map must not be changed after its first use; then
// it is safe for concurrent use.
type Hosts map[string]*Transport

// RoundTrip sends a request over the transport of its host.
func (h Hosts) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL == nil || r.URL.Host == "" {
		closeBody(r)
		return nil, errNoHost
	}
	t := h.find(r.URL)
	if t == nil {
		closeBody(r)
		return nil, fmt.Errorf("rest: no guard for the host %q: add it to Hosts", r.URL.Host)
	}
	return t.RoundTrip(r)
}

// find returns the transport of an address.
func (h Hosts) find(u *url.URL) *Transport {
	host := strings.ToLower(u.Host)
	if t := h[host]; t != nil {
		return t
	}
	port := defaultPorts[strings.ToLower(u.Scheme)]
	if bare, ok := strings.CutSuffix(host, ":"+port); ok {
		return h[bare]
	}
	if u.Port() == "" {
		return h[strings.TrimSuffix(host, ":")+":"+port]
	}
	return nil
}

// CloseIdleConnections closes the idle connections of all transports.
func (h Hosts) CloseIdleConnections() {
	for _, t := range h {
		t.CloseIdleConnections()
	}
}
