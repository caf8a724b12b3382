package cache

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

// Config says how much a Cache stores, and what may be served from it. The zero value
// configures a cache that does what the RFCs say and no more.
type Config struct {
	// MaxBytes limits the memory for all stored responses, in bytes. Default: 64 MiB.
	MaxBytes int64
	// MaxEntry limits the body of one response, in bytes. A larger response is not stored.
	// Default: 1 MiB, or MaxBytes if that is less.
	MaxEntry int64
	// StaleIfError is how long a response that is no longer fresh may replace the response of
	// a server that fails. A longer time in the response itself (stale-if-error) takes
	// precedence. Default: 0, only the times in responses count.
	StaleIfError time.Duration
	// Override lists response directives that the cache ignores when a server fails:
	// no-store, no-cache, must-revalidate, proxy-revalidate, s-maxage. Use it only by
	// agreement with the owner of the server. It never makes a private response shared.
	Override []string
	// Credentials lists request fields that identify the user, in addition to
	// Authorization, Proxy-Authorization, Cookie and X-Api-Key.
	Credentials []string
	// OnAnswer is called once for each request that Serve has answered, with the status that
	// Of returns for the response, or with the error. It runs on the request's goroutine,
	// with the request's context and without a lock held. It must be safe for concurrent use
	// and must not panic. Package clients/rest/telemetry provides one. Default: nil.
	OnAnswer func(ctx context.Context, s Status, err error)
	_        struct{}
}

const (
	defaultMaxBytes = 64 << 20
	defaultMaxEntry = 1 << 20
	// smallBody is the size up to which a body of known length is read at once, so that
	// requests that wait for the same response get it soon.
	smallBody = 64 << 10
)

var overridable = []string{"no-store", "no-cache", "must-revalidate", "proxy-revalidate", "s-maxage"}

// Cache stores responses. It is safe for concurrent use. The caller that created it must
// close it. The zero value is not usable.
type Cache struct {
	cfg         Config
	credentials []string
	now         func() time.Time
	tasks       sync.WaitGroup // refreshes in the background

	mu       sync.Mutex
	closed   bool
	store    store
	inflight map[string][]*inflight
	// changed says when the resource at an address is known to have changed last; floor is
	// that time for all other addresses.
	changed map[string]time.Time
	floor   time.Time
	// alone holds addresses whose responses can't be shared, so that no request waits for
	// another's fetch of them.
	alone map[string]time.Time
}

// New checks the configuration.
func New(cfg Config) (*Cache, error) {
	var bad error
	if cfg.MaxBytes < 0 {
		bad = errors.Join(bad, fmt.Errorf("cache: MaxBytes is %d: give 1 or more, or 0 for 64 MiB", cfg.MaxBytes))
	}
	if cfg.MaxEntry < 0 {
		bad = errors.Join(bad, fmt.Errorf("cache: MaxEntry is %d: give 1 or more, or 0 for 1 MiB", cfg.MaxEntry))
	}
	if cfg.StaleIfError < 0 {
		bad = errors.Join(bad, fmt.Errorf("cache: StaleIfError is %v: give 0 or more", cfg.StaleIfError))
	}
	for _, name := range cfg.Override {
		if !slices.Contains(overridable, name) {
			bad = errors.Join(bad, fmt.Errorf("cache: Override has %q: it can be %s", name, strings.Join(overridable, ", ")))
		}
	}
	if bad != nil {
		return nil, bad
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = defaultMaxBytes
	}
	if cfg.MaxEntry == 0 {
		cfg.MaxEntry = defaultMaxEntry
	}
	cfg.MaxEntry = min(cfg.MaxEntry, cfg.MaxBytes)
	c := &Cache{cfg: cfg, now: time.Now, inflight: map[string][]*inflight{}, changed: map[string]time.Time{}, alone: map[string]time.Time{}}
	c.store = newStore(cfg.MaxBytes)
	c.credentials = []string{"Authorization", "Proxy-Authorization", "Cookie", "X-Api-Key"}
	for _, name := range cfg.Credentials {
		c.credentials = append(c.credentials, http.CanonicalHeaderKey(name))
	}
	return c, nil
}

// Close cancels refreshes in the background, waits for them and drops all responses.
// Requests still work afterwards, but nothing is stored. Closing twice does nothing.
func (c *Cache) Close() error {
	c.mu.Lock()
	c.closed = true
	var all []*inflight
	for _, fs := range c.inflight {
		all = append(all, fs...)
	}
	c.store = newStore(1)
	c.mu.Unlock()
	for _, f := range all {
		c.finish(f, apart, nil, nil)
		if f.cancel != nil {
			f.cancel()
		}
	}
	c.tasks.Wait()
	return nil
}

// Bytes returns the memory that stored responses take, in bytes.
func (c *Cache) Bytes() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.store.size()
}

// Next sends a request to the server. It has the contract of http.RoundTripper.RoundTrip.
type Next func(*http.Request) (*http.Response, error)

// Serve answers a request from the cache, or by calling next. It has the contract of
// http.RoundTripper.RoundTrip. A panic in next propagates to the caller; in a background
// refresh it ends the refresh and is dropped.
func (c *Cache) Serve(r *http.Request, next Next) (*http.Response, error) {
	resp, err := c.serve(r, next)
	if c.cfg.OnAnswer != nil {
		var s Status
		if err == nil {
			s, _ = Of(resp)
		}
		c.cfg.OnAnswer(r.Context(), s, err)
	}
	return resp, err
}

func (c *Cache) serve(r *http.Request, next Next) (*http.Response, error) {
	want := parse(r.Header)
	if !handles(r) || want.noStore {
		return c.pass(r, next)
	}
	l := lookup{key: keyOf(r), want: want}
	for joined := 0; ; joined++ {
		now := c.now()
		e, known := c.find(l.key, r)
		if e != nil {
			if resp := c.use(e, l, now, r, next); resp != nil {
				return resp, nil
			}
		}
		if want.onlyIfCached {
			return unavailable(r), nil
		}
		if e == nil && isConditional(r) {
			return c.pass(r, next) // a 304 may confirm a response that only the caller has
		}
		l.entry, l.forward = e, why(e, known, want)
		if want.noCache || want.maxAge == 0 || joined == maxJoins {
			return c.fetch(nil, l, r, next) // a fetch that began earlier is not new enough
		}
		f, leads := c.join(c.shareKey(l.key, r), resilience.MarksOf(r.Context()))
		if leads || f == nil {
			return c.fetch(f, l, r, next)
		}
		if err := c.wait(r.Context(), f); err != nil {
			return c.orStale(l, r, err)
		}
		if f.outcome != again {
			return c.share(f, l, r, next)
		}
	}
}

// share answers a request from a fetch that it has waited for, or with a fetch for itself.
func (c *Cache) share(f *inflight, l lookup, r *http.Request, next Next) (*http.Response, error) {
	now := c.now()
	switch {
	case f.outcome == answered && c.mayUse(f.entry, r) && f.entry.isFresh(l.want, now):
		return answer(f.entry, r, now, Status{Hit: true, Collapsed: true}), nil
	case f.outcome == failed && l.entry != nil && c.staleIfError(l.entry, l.want, now):
		return answer(l.entry, r, now, Status{Hit: true, Collapsed: true, Detail: "if-error"}), nil
	case f.outcome == failed && f.err != nil:
		return nil, f.err
	}
	return c.fetch(nil, l, r, next)
}

// handles says whether the cache may answer a request. Requests for ranges, requests with
// a body and those with conditions for a change go through to the server.
func handles(r *http.Request) bool {
	if r.Method != "" && r.Method != http.MethodGet || r.Body != nil && r.Body != http.NoBody {
		return false
	}
	for _, name := range []string{"Range", "If-Range", "If-Match", "If-Unmodified-Since", "Upgrade"} {
		if len(r.Header[name]) > 0 {
			return false
		}
	}
	return true
}

// keyOf returns the address under which responses are stored.
func keyOf(r *http.Request) string {
	u := *r.URL
	u.Scheme, u.Host, u.Fragment, u.RawFragment, u.User = strings.ToLower(u.Scheme), strings.ToLower(u.Host), "", "", nil
	if r.Host != "" && !strings.EqualFold(r.Host, u.Host) {
		return strings.ToLower(r.Host) + " " + u.String()
	}
	return u.String()
}

// find returns the newest entry that may be used for a request, and whether there is any
// entry for its address.
func (c *Cache) find(key string, r *http.Request) (e *entry, known bool) {
	c.mu.Lock()
	lists, known := c.store.varies(key)
	c.mu.Unlock()
	if !known {
		return nil, false
	}
	credentialed := c.credentialed(r)
	values := make([]string, len(lists)) // computed without the lock: the fields may be long
	for i, vary := range lists {
		values[i] = valuesOf(r, vary)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.store.find(key, lists, values, func(e *entry) bool { return !credentialed || e.directives.shared() }), true
}

func (c *Cache) mayUse(e *entry, r *http.Request) bool {
	return e.matches(r) && (e.directives.shared() || !c.credentialed(r))
}

// use answers from an entry if it is fresh or may be served stale. Otherwise it returns nil.
func (c *Cache) use(e *entry, l lookup, now time.Time, r *http.Request, next Next) *http.Response {
	if e.isFresh(l.want, now) {
		return answer(e, r, now, Status{Hit: true})
	}
	switch c.staleNow(e, l.want, now) {
	case refreshing:
		c.refresh(l.key, e, r, next)
		return answer(e, r, now, Status{Hit: true, Detail: "while-revalidate"})
	case asked:
		return answer(e, r, now, Status{Hit: true, Detail: "max-stale"})
	}
	return nil
}

func why(e *entry, known bool, want directives) string {
	switch {
	case e != nil && (want.noCache || want.maxAge >= 0 || want.minFresh > 0):
		return "request"
	case e != nil:
		return "stale"
	case known:
		return "vary-miss"
	}
	return "uri-miss"
}

// answer makes a response from an entry, with its status.
func answer(e *entry, r *http.Request, now time.Time, s Status) *http.Response {
	resp := e.response(r, now)
	if isConditional(r) && e.confirmed(r) {
		notModified(resp)
	}
	s.TTL = e.lifetime - e.ageAt(now)
	s.write(resp.Header)
	return resp
}

// unavailable answers a request that accepts a response from the cache only.
func unavailable(r *http.Request) *http.Response {
	resp := &http.Response{
		Status: "504 Gateway Timeout", StatusCode: http.StatusGatewayTimeout, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: http.NoBody, Request: r,
	}
	Status{Detail: "only-if-cached"}.write(resp.Header)
	return resp
}

// refresh fetches an entry again in the background, unless a fetch is already under way.
// It has the values of the caller's context, but not its deadline or cancellation.
func (c *Cache) refresh(key string, e *entry, r *http.Request, next Next) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	f := c.joinRefresh(c.shareKey(key, r), resilience.MarksOf(ctx), cancel)
	if f == nil {
		cancel()
		return
	}
	own := unconditional(r.Clone(ctx))
	go func() {
		defer c.tasks.Done()
		defer cancel()
		defer func() {
			if recover() != nil {
				c.finish(f, apart, nil, nil)
			}
		}()
		resp, err := c.fetch(f, lookup{key: key, entry: e, want: parse(http.Header{}), forward: "stale"}, own, next)
		if err == nil {
			readOut(resp)
		}
	}()
}
