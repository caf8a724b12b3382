package cache

import (
	"net/http"
	"slices"
	"time"
)

// ForbidsReuse says whether an answer's header forbids that the answer is served again
// without asking the server: no-store, no-cache or must-revalidate, but for those that are
// overridden by name. It is for memories other than a Cache.
func ForbidsReuse(h http.Header, override ...string) bool {
	d := parse(h)
	over := func(name string) bool { return slices.Contains(override, name) }
	return d.noStore && !over("no-store") || d.noCache && !over("no-cache") || d.mustRevalidate && !over("must-revalidate")
}

// over says whether the configuration overrides a directive by name.
func (c *Cache) over(name string) bool { return slices.Contains(c.cfg.Override, name) }

// isFresh says whether an entry answers without asking the server.
func (e *entry) isFresh(want directives, now time.Time) bool {
	age := e.ageAt(now)
	return age < e.lifetime && !e.directives.noCache && !want.noCache && !(want.maxAge >= 0 && age > want.maxAge) &&
		!(want.minFresh > 0 && e.lifetime-age < want.minFresh)
}

// forbids says whether an entry may not be served stale, by what the server or the
// request says.
func (c *Cache) forbids(e *entry, want directives, age time.Duration) bool {
	d := &e.directives
	return d.noCache && !c.over("no-cache") || d.mustRevalidate && !c.over("must-revalidate") ||
		d.proxyRevalidate && !c.over("proxy-revalidate") || d.sMaxage >= 0 && !c.over("s-maxage") ||
		want.noCache || want.maxAge >= 0 && age > want.maxAge || want.minFresh > 0
}

// stale says how an entry that is not fresh may be served.
type stale int

const (
	never stale = iota
	// refreshing: now, and it is refreshed meanwhile.
	refreshing
	// asked: now, because the request takes it.
	asked
)

func (c *Cache) staleNow(e *entry, want directives, now time.Time) stale {
	age := e.ageAt(now)
	over := age - e.lifetime
	switch {
	case c.forbids(e, want, age):
		return never
	case over <= e.directives.staleWhileRevalidate:
		return refreshing
	case over <= want.maxStale:
		return asked
	}
	return never
}

// staleIfError says whether an entry may stand in for a server that fails: for as long
// as the answer, the configuration or the request allows, whichever is longest.
func (c *Cache) staleIfError(e *entry, want directives, now time.Time) bool {
	age := e.ageAt(now)
	limit := max(e.directives.staleIfError, c.cfg.StaleIfError, want.staleIfError, want.maxStale)
	return !fails(e.status) && limit >= 0 && age-e.lifetime <= limit && !c.forbids(e, want, age) && limit > 0
}

// fails says whether a status is a failure that a stale answer may stand in for (RFC
// 5861, section 4).
func fails(status int) bool { return status == 500 || status >= 502 && status <= 504 }
