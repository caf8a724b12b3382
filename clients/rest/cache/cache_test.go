package cache_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/backstay-go/backstay/clients/rest/cache"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const address = "http://catalog.test/titles/1"

// origin is a server that does what its function says, and counts.
type origin struct {
	requests atomic.Int64
	answer   func(r *http.Request) (*http.Response, error)
}

func (o *origin) next(r *http.Request) (*http.Response, error) {
	o.requests.Add(1)
	resp, err := o.answer(r)
	if resp != nil {
		resp.Request = r
	}
	return resp, err
}

// say is an answer, with fields as name and value by turns. It has a Date.
func say(status int, body string, fields ...string) *http.Response {
	h := http.Header{"Date": {time.Now().UTC().Format(http.TimeFormat)}}
	for i := 0; i < len(fields); i += 2 {
		if fields[i] == "Date" {
			h.Del("Date")
		}
		h.Add(fields[i], fields[i+1])
	}
	return &http.Response{
		Status: fmt.Sprint(status), StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}
}

func made(t *testing.T, cfg cache.Config) *cache.Cache {
	t.Helper()
	c, err := cache.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func ask(t *testing.T, c *cache.Cache, o *origin, fields ...string) (*http.Response, string) {
	t.Helper()
	return request(t, c, o, http.MethodGet, address, fields...)
}

func request(t *testing.T, c *cache.Cache, o *origin, method, url string, fields ...string) (*http.Response, string) {
	t.Helper()
	resp, body, err := try(t, c, o, method, url, fields...)
	if err != nil {
		t.Fatal(err)
	}
	return resp, body
}

func try(t *testing.T, c *cache.Cache, o *origin, method, url string, fields ...string) (*http.Response, string, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		r.Header.Add(fields[i], fields[i+1])
	}
	resp, err := c.Serve(r, o.next)
	if err != nil {
		return nil, "", err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.Request != r && method == http.MethodGet {
		t.Error("the response is not of this request")
	}
	return resp, string(body), nil
}

// numbered answers 1, 2, 3 with the fields.
func numbered(fields ...string) *origin {
	o := &origin{}
	o.answer = func(*http.Request) (*http.Response, error) {
		return say(200, strconv.FormatInt(o.requests.Load(), 10), fields...), nil
	}
	return o
}

// TestWhatIsKept asks twice, a second apart, and says whether the second was answered
// from the cache.
func TestWhatIsKept(t *testing.T) {
	for _, c := range []struct {
		name    string
		answer  []string
		request []string
		second  []string
		cfg     cache.Config
		hit     bool
	}{
		{name: "max-age", answer: []string{"Cache-Control", "max-age=60"}, hit: true},
		{name: "max-age in quotes", answer: []string{"Cache-Control", `MAX-AGE="60"`}, hit: true},
		{name: "s-maxage before max-age", answer: []string{"Cache-Control", "s-maxage=60, max-age=0"}, hit: true},
		{name: "max-age before Expires", answer: []string{"Cache-Control", "max-age=60", "Expires", "0"}, hit: true},
		{name: "Expires", answer: []string{"Expires", "Sat, 01 Jan 2050 00:00:00 GMT"}, hit: true},
		{name: "Expires that is no date", answer: []string{"Expires", "0"}},
		{name: "max-age=0 with Last-Modified", answer: []string{"Cache-Control", "max-age=0", "Last-Modified", "Sat, 01 Jan 2000 00:00:00 GMT"}},
		{name: "Last-Modified alone is no lifetime", answer: []string{"Last-Modified", "Sat, 01 Jan 2000 00:00:00 GMT"}},
		{name: "a time that can't be read", answer: []string{"Cache-Control", "max-age=soon"}},
		{name: "a time twice", answer: []string{"Cache-Control", "max-age=60, max-age=0"}},
		{name: "nothing said", answer: nil},
		{name: "no-store", answer: []string{"Cache-Control", "no-store, max-age=60"}},
		{name: "no-store, overridden, is never fresh", answer: []string{"Cache-Control", "no-store, max-age=60"}, cfg: cache.Config{Override: []string{"no-store"}}},
		{name: "no-cache", answer: []string{"Cache-Control", "no-cache, max-age=60"}},
		{name: "private", answer: []string{"Cache-Control", "private, max-age=60"}},
		{name: "private of one field", answer: []string{"Cache-Control", `private="set-cookie", max-age=60`}},
		{name: "must-revalidate is fresh while it is", answer: []string{"Cache-Control", "must-revalidate, max-age=60"}, hit: true},
		{name: "sets a cookie", answer: []string{"Cache-Control", "public, max-age=60", "Set-Cookie", "a=b"}},
		{name: "Vary: *", answer: []string{"Cache-Control", "max-age=60", "Vary", "*"}},
		{name: "Vary, same", answer: []string{"Cache-Control", "max-age=60", "Vary", "accept"}, request: []string{"Accept", "a"}, second: []string{"Accept", "a"}, hit: true},
		{name: "Vary, other", answer: []string{"Cache-Control", "max-age=60", "Vary", "Accept"}, request: []string{"Accept", "a"}, second: []string{"Accept", "b"}},
		{name: "upstream Age counts", answer: []string{"Cache-Control", "max-age=60", "Age", "60"}},
		{name: "upstream Age within", answer: []string{"Cache-Control", "max-age=60", "Age", "50"}, hit: true},
		{name: "an old Date counts", answer: []string{"Cache-Control", "max-age=60", "Date", "Fri, 01 Jan 1999 00:00:00 GMT"}},
		{name: "request no-store", answer: []string{"Cache-Control", "max-age=60"}, request: []string{"Cache-Control", "no-store"}},
		{name: "request no-cache", answer: []string{"Cache-Control", "max-age=60"}, second: []string{"Cache-Control", "no-cache"}},
		{name: "request Pragma", answer: []string{"Cache-Control", "max-age=60"}, second: []string{"Pragma", "no-cache"}},
		{name: "request max-age=0", answer: []string{"Cache-Control", "max-age=60"}, second: []string{"Cache-Control", "max-age=0"}},
		{name: "request max-age", answer: []string{"Cache-Control", "max-age=60"}, second: []string{"Cache-Control", "max-age=5"}, hit: true},
		{name: "request min-fresh", answer: []string{"Cache-Control", "max-age=60"}, second: []string{"Cache-Control", "min-fresh=60"}},
		{name: "request max-stale", answer: []string{"Cache-Control", "max-age=0", "Etag", `"1"`}, second: []string{"Cache-Control", "max-stale=5"}, hit: true},
		{name: "request max-stale against must-revalidate", answer: []string{"Cache-Control", "max-age=0, must-revalidate", "Etag", `"1"`}, second: []string{"Cache-Control", "max-stale"}},
		{name: "a part", answer: []string{"Cache-Control", "max-age=60"}, second: []string{"Range", "bytes=0-0"}},

		{name: "Authorization, not shared", answer: []string{"Cache-Control", "max-age=60"}, request: []string{"Authorization", "a"}, second: []string{"Authorization", "a"}},
		{name: "Authorization, public", answer: []string{"Cache-Control", "public, max-age=60"}, request: []string{"Authorization", "a"}, second: []string{"Authorization", "b"}, hit: true},
		{name: "Authorization, s-maxage", answer: []string{"Cache-Control", "s-maxage=60"}, request: []string{"Authorization", "a"}, second: []string{"Authorization", "b"}, hit: true},
		{name: "Authorization, must-revalidate", answer: []string{"Cache-Control", "max-age=60, must-revalidate"}, request: []string{"Authorization", "a"}, second: []string{"Authorization", "b"}, hit: true},
		{name: "kept without, asked with Authorization", answer: []string{"Cache-Control", "max-age=60"}, second: []string{"Authorization", "b"}},
		{name: "Cookie", answer: []string{"Cache-Control", "max-age=60"}, request: []string{"Cookie", "a"}, second: []string{"Cookie", "b"}},
		{name: "API key", answer: []string{"Cache-Control", "max-age=60"}, request: []string{"X-Api-Key", "a"}, second: []string{"X-Api-Key", "b"}},
		{name: "a credential of one's own", answer: []string{"Cache-Control", "max-age=60"}, request: []string{"X-Member", "a"}, second: []string{"X-Member", "b"}, cfg: cache.Config{Credentials: []string{"x-member"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := numbered(c.answer...)
				kept := made(t, c.cfg)
				ask(t, kept, o, c.request...)
				time.Sleep(time.Second)
				resp, body := ask(t, kept, o, c.second...)
				status, ok := cache.Of(resp)
				if !ok || status.Hit != c.hit || (body == "1") != c.hit {
					t.Errorf("body %q, %+v, Cache-Status %q", body, status, resp.Header["Cache-Status"])
				}
				if c.hit && resp.Header.Get("Age") == "" {
					t.Error("a hit has no Age")
				}
			})
		})
	}
}

// TestStale lets an answer get stale, and then the server fail.
func TestStale(t *testing.T) {
	down := errors.New("connection refused")
	for _, c := range []struct {
		name    string
		answer  []string
		cfg     cache.Config
		after   time.Duration
		status  int // of the failure; 0: no answer
		request []string
		served  bool
	}{
		{name: "nothing allows it", answer: []string{"Cache-Control", "max-age=10", "Etag", `"1"`}, after: 11 * time.Second},
		{name: "the answer does", answer: []string{"Cache-Control", "max-age=10, stale-if-error=60"}, after: 69 * time.Second, served: true},
		{name: "not any more", answer: []string{"Cache-Control", "max-age=10, stale-if-error=60"}, after: 71 * time.Second},
		{name: "the policy does", answer: []string{"Cache-Control", "max-age=10"}, cfg: cache.Config{StaleIfError: time.Minute}, after: 69 * time.Second, served: true},
		{name: "the policy does, nothing said", cfg: cache.Config{StaleIfError: time.Minute}, after: 59 * time.Second, served: true},
		{name: "the policy does not any more", cfg: cache.Config{StaleIfError: time.Minute}, after: 61 * time.Second},
		{name: "the request does", answer: []string{"Cache-Control", "max-age=10"}, after: 15 * time.Second, request: []string{"Cache-Control", "stale-if-error=10"}, served: true},
		{name: "500", answer: []string{"Cache-Control", "max-age=10, stale-if-error=60"}, after: 20 * time.Second, status: 500, served: true},
		{name: "502", answer: []string{"Cache-Control", "max-age=10, stale-if-error=60"}, after: 20 * time.Second, status: 502, served: true},
		{name: "503", answer: []string{"Cache-Control", "max-age=10, stale-if-error=60"}, after: 20 * time.Second, status: 503, served: true},
		{name: "504", answer: []string{"Cache-Control", "max-age=10, stale-if-error=60"}, after: 20 * time.Second, status: 504, served: true},
		{name: "404 is an answer", answer: []string{"Cache-Control", "max-age=10, stale-if-error=60"}, after: 20 * time.Second, status: 404},
		{name: "403 is an answer", answer: []string{"Cache-Control", "max-age=10, stale-if-error=60"}, after: 20 * time.Second, status: 403},
		{name: "429 is an answer", answer: []string{"Cache-Control", "max-age=10, stale-if-error=60"}, after: 20 * time.Second, status: 429},
		{name: "the failure's own header says nothing", answer: []string{"Cache-Control", "max-age=10", "Etag", `"1"`}, after: 20 * time.Second, status: 599},
		{name: "must-revalidate", answer: []string{"Cache-Control", "max-age=10, must-revalidate, stale-if-error=60"}, cfg: cache.Config{StaleIfError: time.Hour}, after: 20 * time.Second},
		{name: "proxy-revalidate", answer: []string{"Cache-Control", "max-age=10, proxy-revalidate"}, cfg: cache.Config{StaleIfError: time.Hour}, after: 20 * time.Second},
		{name: "s-maxage", answer: []string{"Cache-Control", "s-maxage=10"}, cfg: cache.Config{StaleIfError: time.Hour}, after: 20 * time.Second},
		{name: "no-cache", answer: []string{"Cache-Control", "no-cache", "Etag", `"1"`}, cfg: cache.Config{StaleIfError: time.Hour}, after: 20 * time.Second},
		{name: "no-store", answer: []string{"Cache-Control", "no-store"}, cfg: cache.Config{StaleIfError: time.Hour}, after: 20 * time.Second},
		{name: "private", answer: []string{"Cache-Control", "private"}, cfg: cache.Config{StaleIfError: time.Hour}, after: 20 * time.Second},
		{name: "must-revalidate, overridden", answer: []string{"Cache-Control", "max-age=10, must-revalidate"}, cfg: cache.Config{StaleIfError: time.Hour, Override: []string{"must-revalidate"}}, after: 20 * time.Second, served: true},
		{name: "no-cache, overridden", answer: []string{"Cache-Control", "no-cache"}, cfg: cache.Config{StaleIfError: time.Hour, Override: []string{"no-cache"}}, after: 20 * time.Second, served: true},
		{name: "no-store, overridden", answer: []string{"Cache-Control", "no-store"}, cfg: cache.Config{StaleIfError: time.Hour, Override: []string{"no-store"}}, after: 20 * time.Second, served: true},
		{name: "another one overridden", answer: []string{"Cache-Control", "no-cache"}, cfg: cache.Config{StaleIfError: time.Hour, Override: []string{"must-revalidate"}}, after: 20 * time.Second},
		{name: "the request wants a new one", answer: []string{"Cache-Control", "max-age=10, stale-if-error=60"}, after: 20 * time.Second, request: []string{"Cache-Control", "no-cache"}},
		{name: "the request wants a newer one", answer: []string{"Cache-Control", "max-age=10, stale-if-error=60"}, after: 20 * time.Second, request: []string{"Cache-Control", "max-age=5"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				kept := made(t, c.cfg)
				ask(t, kept, numbered(c.answer...))
				time.Sleep(c.after)
				failing := &origin{answer: func(*http.Request) (*http.Response, error) {
					if c.status == 0 {
						return nil, down
					}
					return say(c.status, "failed", "Cache-Control", "stale-if-error=600"), nil
				}}
				resp, body, err := try(t, kept, failing, http.MethodGet, address, c.request...)
				switch {
				case failing.requests.Load() != 1:
					t.Errorf("the server was asked %d times", failing.requests.Load())
				case !c.served && c.status == 0 && !errors.Is(err, down):
					t.Errorf("the error is %v", err)
				case !c.served && c.status != 0 && (err != nil || resp.StatusCode != c.status):
					t.Errorf("%v, %v", resp, err)
				case c.served && (err != nil || body != "1"):
					t.Errorf("body %q, %v", body, err)
				case c.served:
					s, _ := cache.Of(resp)
					if !s.Hit || !s.Stale || s.Detail != "if-error" || s.Age != c.after || s.ForwardStatus != c.status {
						t.Errorf("%+v after %v", s, c.after)
					}
				}
			})
		})
	}
}

func TestStaleWhileRevalidate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := numbered("Cache-Control", "max-age=10, stale-while-revalidate=20")
		kept := made(t, cache.Config{})
		ask(t, kept, o)
		// Twenty stale hits are one refresh, which outlives the request that caused it.
		inner, gate := o.answer, make(chan struct{})
		o.answer = func(r *http.Request) (*http.Response, error) {
			<-gate
			if r.Context().Err() != nil {
				t.Error("the refresh died with its caller")
			}
			return inner(r)
		}
		time.Sleep(15 * time.Second)
		for range 20 {
			resp, body := ask(t, kept, o)
			if s, _ := cache.Of(resp); body != "1" || s.Detail != "while-revalidate" || s.TTL != -5*time.Second || s.Age != 15*time.Second {
				t.Errorf("%q, %+v", body, s)
			}
		}
		close(gate)
		synctest.Wait()
		if resp, body := ask(t, kept, o); body != "2" || o.requests.Load() != 2 {
			t.Errorf("body %q after %d requests, %q", body, o.requests.Load(), resp.Header["Cache-Status"])
		}
		time.Sleep(31 * time.Second)
		if _, body := ask(t, kept, o); body != "3" {
			t.Errorf("too old to be served while it is refreshed: %q", body)
		}
	})
}

func TestRefreshEndsWithTheCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := numbered("Cache-Control", "max-age=10, stale-while-revalidate=20")
		kept := made(t, cache.Config{})
		ask(t, kept, o)
		time.Sleep(15 * time.Second)
		o.answer = func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}
		ask(t, kept, o)
		if err := kept.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestValidation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked http.Header
		o := &origin{}
		o.answer = func(r *http.Request) (*http.Response, error) {
			asked = r.Header
			if r.Header.Get("If-None-Match") == `"1"` {
				return say(304, "", "Cache-Control", "max-age=20", "X-New", "yes", "Age", "2"), nil
			}
			return say(200, "one", "Cache-Control", "max-age=10", "Etag", `"1"`, "Last-Modified", "Sat, 01 Jan 2000 00:00:00 GMT", "X-Old", "yes"), nil
		}
		kept := made(t, cache.Config{})
		ask(t, kept, o)
		time.Sleep(11 * time.Second)
		resp, body := ask(t, kept, o)
		s, _ := cache.Of(resp)
		if body != "one" || resp.StatusCode != 200 || s.Forward != "stale" || s.ForwardStatus != 304 || !s.Stored || s.Age != 2*time.Second {
			t.Errorf("%d %q %+v", resp.StatusCode, body, s)
		}
		if asked.Get("If-Modified-Since") == "" || resp.Header.Get("X-New") != "yes" || resp.Header.Get("X-Old") != "yes" {
			t.Errorf("asked %v, got %v", asked, resp.Header)
		}
		time.Sleep(17 * time.Second)
		if _, body := ask(t, kept, o); body != "one" || o.requests.Load() != 2 {
			t.Errorf("the new lifetime does not count: %q after %d requests", body, o.requests.Load())
		}
	})
}

func TestChangesInvalidate(t *testing.T) {
	for _, c := range []struct {
		name, method, url string
		status            int
		fields            []string
		gone              bool
	}{
		{"POST", "POST", address, 200, nil, true},
		{"PUT with a redirect", "PUT", address, 303, nil, true},
		{"DELETE", "DELETE", address, 204, nil, true},
		{"a POST that failed", "POST", address, 500, nil, false},
		{"a POST that was refused", "POST", address, 404, nil, false},
		{"OPTIONS", "OPTIONS", address, 200, nil, false},
		{"HEAD", "HEAD", address, 200, nil, false},
		{"POST elsewhere", "POST", "http://catalog.test/titles", 200, nil, false},
		{"POST elsewhere that names it", "POST", "http://catalog.test/titles", 201, []string{"Location", "/titles/1"}, true},
		{"its content is here", "POST", "http://catalog.test/titles", 200, []string{"Content-Location", address}, true},
		{"another host that names it", "POST", "http://elsewhere.test/titles", 201, []string{"Location", address}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			kept := made(t, cache.Config{})
			o := numbered("Cache-Control", "max-age=60")
			ask(t, kept, o)
			change := &origin{answer: func(*http.Request) (*http.Response, error) { return say(c.status, "", c.fields...), nil }}
			request(t, kept, change, c.method, c.url)
			if _, body := ask(t, kept, o); (body == "2") != c.gone {
				t.Errorf("body %q", body)
			}
		})
	}
}

// TestAChangeStopsWhatIsOnItsWay: an answer that was asked for before a change, and
// comes after it, is not kept.
func TestAChangeStopsWhatIsOnItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := made(t, cache.Config{})
		asked, gate := make(chan struct{}), make(chan struct{})
		o := numbered("Cache-Control", "max-age=60")
		inner := o.answer
		o.answer = func(r *http.Request) (*http.Response, error) {
			resp, err := inner(r)
			close(asked)
			<-gate
			return resp, err
		}
		var wg sync.WaitGroup
		wg.Go(func() { ask(t, kept, o) })
		<-asked
		request(t, kept, &origin{answer: func(*http.Request) (*http.Response, error) { return say(204, ""), nil }}, "POST", address)
		close(gate)
		wg.Wait()
		o.answer = inner
		if _, body := ask(t, kept, o); body != "2" {
			t.Errorf("the answer from before the change was kept: %q", body)
		}
	})
}

// TestVariantsStayBesideEachOther: one does not push out the other.
func TestVariantsStayBesideEachOther(t *testing.T) {
	kept, o := made(t, cache.Config{}), numbered("Cache-Control", "max-age=60", "Vary", "Accept, Accept-Language")
	for range 2 {
		for want, accept := range map[string]string{"1": "a", "2": "b"} {
			if want == "2" && o.requests.Load() == 0 {
				ask(t, kept, o, "Accept", "a")
			}
			if _, body := ask(t, kept, o, "Accept", accept); body != want {
				t.Errorf("%s got %q, want %q", accept, body, want)
			}
		}
	}
	resp, _ := ask(t, kept, o, "Accept", "c")
	if s, _ := cache.Of(resp); s.Forward != "vary-miss" {
		t.Errorf("%+v", s)
	}
}

// TestTheFailuresBodyIsClosed: the one that a stale answer stands in for.
func TestTheFailuresBodyIsClosed(t *testing.T) {
	kept := made(t, cache.Config{StaleIfError: time.Hour})
	ask(t, kept, numbered())
	body := &stream{Reader: strings.NewReader("failed")}
	resp, text := ask(t, kept, &origin{answer: func(*http.Request) (*http.Response, error) {
		failure := say(503, "")
		failure.Body, failure.ContentLength = body, -1
		return failure, nil
	}})
	if text != "1" || resp.StatusCode != 200 || body.closed != 1 {
		t.Errorf("%d %q, closed %d times", resp.StatusCode, text, body.closed)
	}
}

func TestOnlyIfCached(t *testing.T) {
	kept := made(t, cache.Config{})
	o := numbered("Cache-Control", "max-age=60")
	if resp, _ := ask(t, kept, o, "Cache-Control", "only-if-cached"); resp.StatusCode != 504 || o.requests.Load() != 0 {
		t.Errorf("%d after %d requests", resp.StatusCode, o.requests.Load())
	}
	ask(t, kept, o)
	if resp, body := ask(t, kept, o, "Cache-Control", "only-if-cached"); resp.StatusCode != 200 || body != "1" {
		t.Errorf("%d %q", resp.StatusCode, body)
	}
}

func TestBadConfigurationIsRefused(t *testing.T) {
	_, err := cache.New(cache.Config{MaxBytes: -1, MaxEntry: -1, StaleIfError: -1, Override: []string{"private"}})
	for _, want := range []string{"MaxBytes is -1", "MaxEntry is -1", "StaleIfError is -1ns", `Override has "private"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
}
