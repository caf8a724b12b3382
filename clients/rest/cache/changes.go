package cache

import (
	"errors"
	"net/http"
	"strings"

	"github.com/backstay-go/backstay/resilience"
)

// keep stores an entry, unless its address has changed since the request was sent, or a
// newer entry is stored. It reports whether it did.
func (c *Cache) keep(e *entry) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	changed, ok := c.changed[e.key]
	if c.closed || !e.sent.After(c.floor) || ok && !e.sent.After(changed) {
		return false
	}
	return c.store.put(e)
}

// change drops what is stored for an address, and makes fetches that are under way not be
// stored.
func (c *Cache) change(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if len(c.changed) >= bounded {
		clear(c.changed)
		c.floor = now
	}
	c.changed[key] = now
	c.store.drop(key)
}

func (c *Cache) forget(e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.store.forget(e)
}

// pass sends a request that the cache does not answer. A change that succeeded, or may
// have succeeded, invalidates what is stored for its address (RFC 9111, section 4.4).
func (c *Cache) pass(r *http.Request, next Next) (*http.Response, error) {
	forward := "bypass"
	if !handles(r) && r.Method != http.MethodGet && r.Method != "" {
		forward = "method"
	}
	resp, err := next(r)
	switch r.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
	default:
		if mayHaveChanged(resp, err) {
			c.change(keyOf(r))
			if resp != nil {
				c.changeNamed(r, resp.Header.Get("Location"))
				c.changeNamed(r, resp.Header.Get("Content-Location"))
			}
		}
	}
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		Status{Forward: forward, ForwardStatus: resp.StatusCode}.write(resp.Header)
	}
	return resp, nil
}

// mayHaveChanged says whether an unsafe request has, or may have, changed something. The
// outcome is unknown if there was no response, also if a gateway reports that.
func mayHaveChanged(resp *http.Response, err error) bool {
	if err != nil {
		return !errors.Is(err, resilience.ErrRefused)
	}
	s := resp.StatusCode
	return s >= 200 && s < 400 || s == http.StatusBadGateway || s == http.StatusGatewayTimeout
}

// changeNamed invalidates an address that the response names, if it is of the same origin.
func (c *Cache) changeNamed(r *http.Request, address string) {
	if address == "" {
		return
	}
	u, err := r.URL.Parse(address)
	if err != nil || !strings.EqualFold(u.Host, r.URL.Host) || !strings.EqualFold(u.Scheme, r.URL.Scheme) {
		return
	}
	other := *r
	other.URL = u
	c.change(keyOf(&other))
}
