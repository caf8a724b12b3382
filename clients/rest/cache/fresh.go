package cache

import (
	"net/http"
	"slices"
	"time"
)

// ForbidsReuse says whether a response's header forbids serving the response again without
// asking the server, by no-store, no-cache or must-revalidate. Directives that are listed
// in override are ignored. It is for stores other than a Cache.
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

// forbids says whether the server or the request forbids serving an entry stale.
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
	// refreshing: serve it now, and refresh it in the background.
	refreshing
	// asked: serve it now, because the request accepts it.
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

// staleIfError says whether an entry may replace the response of a server that fails. The
// longest of the times that the response, the configuration and the request allow counts.
func (c *Cache) staleIfError(e *entry, want directives, now time.Time) bool {
	age := e.ageAt(now)
	limit := max(e.directives.staleIfError, c.cfg.StaleIfError, want.staleIfError, want.maxStale)
	return !fails(e.status) && limit >= 0 && age-e.lifetime <= limit && !c.forbids(e, want, age) && limit > 0
}

// fails says whether a status is a failure that a stale response may replace (RFC 5861,
// section 4).
func fails(status int) bool { return status == 500 || status >= 502 && status <= 504 }
