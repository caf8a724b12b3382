package cache

import (
	"context"
	"net/http"
	"strings"
	"time"
)

// flight is one fetch that others wait for. What it brings is set before done is closed.
type flight struct {
	key    string
	cancel context.CancelFunc // of a refresh in the background
	done   chan struct{}
	// entry is the answer, if it is kept. failed: the server failed. err is what all get.
	// again: it ended without having asked. None of them: the answer is not for others.
	entry  *entry
	failed bool
	err    error
	again  bool
}

// aloneFor is how long requests for an address don't wait for each other after its
// answer could not be shared.
const aloneFor = time.Minute

// bounded is how many addresses are remembered for this or that, at most.
const bounded = 4096

// flightKey tells apart requests that can't share an answer.
func (c *Cache) flightKey(key string, r *http.Request) string {
	var b strings.Builder
	b.WriteString(key)
	for _, name := range c.credentials {
		for _, v := range r.Header[name] {
			b.WriteByte(0)
			b.WriteString(v)
		}
		b.WriteByte(1)
	}
	return b.String()
}

// join finds the flight under a key, or starts it: then leads is true, and it must
// land. A nil flight: this one goes alone. With cancel it is for a refresh, which
// counts as a task of the cache; a closed cache starts none.
func (c *Cache) join(key string, cancel context.CancelFunc) (f *flight, leads bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.flights[key]; f != nil {
		return f, false
	}
	if cancel != nil {
		if c.closed {
			return nil, false
		}
		c.tasks.Add(1)
	} else if until, ok := c.alone[key]; ok {
		if c.now().Before(until) {
			return nil, false
		}
		delete(c.alone, key)
	}
	f = &flight{key: key, cancel: cancel, done: make(chan struct{})}
	c.flights[key] = f
	return f, true
}

// land ends a flight, once, with what it brings. A nil flight is nobody's.
func (c *Cache) land(f *flight, with flight) {
	if f == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flights[f.key] != f {
		return
	}
	delete(c.flights, f.key)
	f.entry, f.failed, f.err, f.again = with.entry, with.failed, with.err, with.again
	if with.entry == nil && !with.failed && with.err == nil && !with.again {
		if len(c.alone) >= bounded {
			clear(c.alone)
		}
		c.alone[f.key] = c.now().Add(aloneFor)
	}
	close(f.done)
}

// landWith ends a flight with an answer, which is for others if it is kept and fresh.
func (c *Cache) landWith(f *flight, e *entry, stored bool, now time.Time) {
	if stored && e.isFresh(parse(nil), now) {
		c.land(f, flight{entry: e})
	} else {
		c.land(f, flight{})
	}
}

// keep stores an entry, unless its address has changed since it was asked for.
func (c *Cache) keep(e *entry, requestAt time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	changed, ok := c.changed[e.key]
	if c.closed || !requestAt.After(c.floor) || ok && !requestAt.After(changed) {
		return false
	}
	c.store.put(e)
	return true
}

// change forgets what is kept for an address, and what is on its way.
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

// pass sends a request that the cache does not answer. A change that succeeded makes
// what is kept for its address invalid (RFC 9111, section 4.4).
func (c *Cache) pass(r *http.Request, next Next) (*http.Response, error) {
	forward := "bypass"
	if !handles(r) && r.Method != http.MethodGet && r.Method != "" {
		forward = "method"
	}
	resp, err := next(r)
	if err != nil {
		return nil, err
	}
	switch r.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
	default:
		if resp.StatusCode >= 200 && resp.StatusCode < 400 {
			c.change(keyOf(r))
			for _, name := range []string{"Location", "Content-Location"} {
				c.changeNamed(r, resp.Header.Get(name))
			}
		}
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		Status{Forward: forward, ForwardStatus: resp.StatusCode}.write(resp.Header)
	}
	return resp, nil
}

// changeNamed does the same for an address that the answer names, on the same origin.
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
