package cache_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/backstay-go/backstay/clients/rest/cache"
)

// TestVaryThatChanges: whatever the fields were that chose earlier answers, the newest one
// that matches is served, and is what stands in when the server fails.
func TestVaryThatChanges(t *testing.T) {
	varies := []string{"", "Accept-Language", "Accept-Language, Accept", "Accept"}
	for _, before := range varies {
		for _, after := range varies {
			t.Run(before+" then "+after, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					kept, o := made(t, cache.Config{StaleIfError: time.Hour}), &origin{}
					o.answer = func(*http.Request) (*http.Response, error) {
						n, vary, age := o.requests.Load(), after, 600
						if n == 1 {
							vary, age = before, 1
						}
						fields := []string{"Cache-Control", fmt.Sprint("max-age=", age)}
						if vary != "" {
							fields = append(fields, "Vary", vary)
						}
						return say(200, strconv.FormatInt(n, 10), fields...), nil
					}
					for range 6 {
						ask(t, kept, o, "Accept-Language", "de")
						time.Sleep(2 * time.Second)
					}
					if o.requests.Load() != 2 {
						t.Errorf("%d fetches", o.requests.Load())
					}
					time.Sleep(11 * time.Minute)
					down := errors.New("down")
					o.answer = func(*http.Request) (*http.Response, error) { return nil, down }
					if _, body := ask(t, kept, o, "Accept-Language", "de"); body != "2" {
						t.Errorf("%q stands in", body)
					}
				})
			})
		}
	}
}

// TestVariantsAreCounted: the fields that choose an answer take memory too.
func TestVariantsAreCounted(t *testing.T) {
	kept, o := made(t, cache.Config{MaxBytes: 1 << 20}), numbered("Cache-Control", "max-age=600", "Vary", "X-Long")
	for i := range 20 {
		ask(t, kept, o, "X-Long", strings.Repeat("x", 100<<10)+strconv.Itoa(i))
	}
	if kept.Bytes() < 800<<10 || kept.Bytes() > 1<<20 {
		t.Errorf("%d bytes of at least 800 KiB", kept.Bytes())
	}
}

// BenchmarkHitAmongVariants: a look-up costs the same however many there are.
func BenchmarkHitAmongVariants(b *testing.B) {
	for _, n := range []int{1, 100, 12_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			kept, err := cache.New(cache.Config{})
			if err != nil {
				b.Fatal(err)
			}
			defer kept.Close()
			o := numbered("Cache-Control", "max-age=600", "Vary", "X-Of")
			request := func(i int) {
				r, _ := http.NewRequestWithContext(b.Context(), "GET", address, nil)
				r.Header.Set("X-Of", strconv.Itoa(i))
				resp, err := kept.Serve(r, o.next)
				if err != nil {
					b.Fatal(err)
				}
				resp.Body.Close()
			}
			for i := range n {
				request(i)
			}
			b.ReportAllocs()
			for b.Loop() {
				request(n - 1)
			}
			if o.requests.Load() != int64(n) {
				b.Errorf("%d fetches", o.requests.Load())
			}
		})
	}
}

// TestAnEncodedAnswerIsForThoseWhoAskedForIt only, though its server forgot to say so.
func TestAnEncodedAnswerIsForThoseWhoAskedForIt(t *testing.T) {
	kept := made(t, cache.Config{})
	o := &origin{answer: func(r *http.Request) (*http.Response, error) {
		if r.Header.Get("Accept-Encoding") == "gzip" {
			return say(200, "compressed", "Cache-Control", "max-age=60", "Content-Encoding", "gzip"), nil
		}
		return say(200, "text", "Cache-Control", "max-age=60"), nil
	}}
	for range 2 {
		ask(t, kept, o, "Accept-Encoding", "gzip")
		if _, body := ask(t, kept, o); body != "text" {
			t.Errorf("plain: %q", body)
		}
	}
}

// TestAConfirmationOfAnotherVersion is not taken for this one (RFC 9111, section 4.3.4).
func TestAConfirmationOfAnotherVersion(t *testing.T) {
	for _, c := range []struct {
		own, confirmed string
		want           string
		requests       int64
	}{
		{`"1"`, `"2"`, "fresh", 3},
		{`"1"`, `W/"2"`, "fresh", 3},
		{`"1"`, `"1"`, "old", 2},
		{`W/"1"`, `"1"`, "old", 2},
		{`"1"`, "", "old", 2},
	} {
		kept, o := made(t, cache.Config{}), &origin{}
		o.answer = func(r *http.Request) (*http.Response, error) {
			switch {
			case o.requests.Load() == 1:
				return say(200, "old", "Cache-Control", "max-age=0", "Etag", c.own), nil
			case r.Header.Get("If-None-Match") == "":
				return say(200, "fresh", "Cache-Control", "max-age=60"), nil
			case c.confirmed == "":
				return say(304, "", "Cache-Control", "max-age=60"), nil
			}
			return say(304, "", "Cache-Control", "max-age=60", "Etag", c.confirmed), nil
		}
		ask(t, kept, o)
		resp, body := ask(t, kept, o)
		if body != c.want || resp.StatusCode != 200 || o.requests.Load() != c.requests {
			t.Errorf("%s confirmed as %s: %d %q after %d requests", c.own, c.confirmed, resp.StatusCode, body, o.requests.Load())
		}
	}
}

// TestAHitKnowsItsConnection: http.Response.TLS tells one over TLS from another.
func TestAHitKnowsItsConnection(t *testing.T) {
	kept := made(t, cache.Config{})
	state := &tls.ConnectionState{ServerName: "catalog.test"}
	o := &origin{answer: func(*http.Request) (*http.Response, error) {
		resp := say(200, "x", "Cache-Control", "max-age=60")
		resp.TLS = state
		return resp, nil
	}}
	for range 2 {
		if resp, _ := ask(t, kept, o); resp.TLS == nil || resp.TLS.ServerName != "catalog.test" {
			t.Errorf("TLS %v", resp.TLS)
		}
	}
}

// TestStoredIsSaidOnceItIsKnown: of a body that is still to come, nobody knows.
func TestStoredIsSaidOnceItIsKnown(t *testing.T) {
	for _, c := range []struct {
		length int64
		want   bool
	}{{-1, false}, {1 << 17, false}, {5, true}} {
		kept := made(t, cache.Config{})
		o := &origin{answer: func(*http.Request) (*http.Response, error) {
			resp := say(200, strings.Repeat("x", int(max(c.length, 5))), "Cache-Control", "max-age=60")
			resp.ContentLength = c.length
			return resp, nil
		}}
		resp, _ := ask(t, kept, o)
		if s, _ := cache.Of(resp); s.Stored != c.want {
			t.Errorf("length %d: %+v", c.length, s)
		}
		if resp, _ := ask(t, kept, o); resp.Header.Get("Age") == "" {
			t.Errorf("length %d: not kept", c.length)
		}
	}
}

// TestWhatWasChangedOrIsOlderNeverComesBack drives a cache through interleavings of slow
// reads and changes of a value, whose answers are chosen by fields that change. A read
// that begins after a change has ended never gets a value from before it, and what the
// cache serves never goes back.
func TestWhatWasChangedOrIsOlderNeverComesBack(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		ops := rapid.SliceOfN(rapid.Custom(drawOp), 1, 40).Draw(rt, "ops")
		synctest.Test(t, func(t *testing.T) {
			runOps(t, ops)
		})
	})
}

// op is a read, a change, or a change that the cache can't see, some time after the one
// before. before and after are how long
// it takes until the server has its value, and from then on.
type op struct {
	change, elsewhere   bool
	wait, before, after time.Duration
	language            string
	vary                string
	fails, noCache      bool
}

func drawOp(t *rapid.T) op {
	seconds := func(label string, most int) time.Duration {
		return time.Duration(rapid.IntRange(0, most).Draw(t, label)) * time.Second
	}
	return op{
		change:    rapid.IntRange(0, 7).Draw(t, "change") == 0,
		elsewhere: rapid.IntRange(0, 3).Draw(t, "elsewhere") == 0,
		wait:      seconds("wait", 2), before: seconds("before", 5), after: seconds("after", 5),
		language: rapid.SampledFrom([]string{"", "de"}).Draw(t, "language"),
		vary:     rapid.SampledFrom([]string{"", "", "", "Accept-Language", "Accept"}).Draw(t, "vary"),
		fails:    rapid.IntRange(0, 7).Draw(t, "fails") == 0,
		noCache:  rapid.IntRange(0, 2).Draw(t, "no-cache") == 0,
	}
}

// value is the server's: its number grows with each change.
type value struct {
	mu     sync.Mutex
	number int
}

func (v *value) get() int { v.mu.Lock(); defer v.mu.Unlock(); return v.number }
func (v *value) next()    { v.mu.Lock(); defer v.mu.Unlock(); v.number++ }

func runOps(t *testing.T, ops []op) {
	kept := made(t, cache.Config{StaleIfError: time.Hour})
	var server value
	var mu sync.Mutex
	ended := 0               // the value after the last change that has ended
	hits := map[string]int{} // the newest value that was served from the cache, by request
	var wg sync.WaitGroup
	for i, o := range ops {
		time.Sleep(o.wait + time.Nanosecond)
		if o.elsewhere {
			time.Sleep(time.Second / 2) // so that Date tells what came before it
			server.next()
			time.Sleep(time.Second / 2)
			continue
		}
		wg.Go(func() {
			next := func(r *http.Request) (*http.Response, error) {
				time.Sleep(o.before)
				if o.change {
					server.next()
				}
				n := server.get()
				resp := say(200, strconv.Itoa(n), "Cache-Control", "max-age=10, stale-while-revalidate=2")
				if o.vary != "" {
					resp.Header.Set("Vary", o.vary)
				}
				time.Sleep(o.after)
				if o.fails {
					return nil, errors.New("the answer was lost")
				}
				return resp, nil
			}
			mu.Lock()
			least := ended
			mu.Unlock()
			method := "GET"
			if o.change {
				method = "PUT"
			}
			r, _ := http.NewRequestWithContext(t.Context(), method, address, nil)
			if o.language != "" {
				r.Header.Set("Accept-Language", o.language)
			}
			if o.noCache {
				r.Header.Set("Cache-Control", "no-cache")
			}
			resp, err := kept.Serve(r, next)
			if err != nil {
				if o.change {
					mu.Lock()
					ended = max(ended, server.get()) // it may have happened: what is kept counts no more
					mu.Unlock()
				}
				return
			}
			body := make([]byte, 10)
			n, _ := resp.Body.Read(body)
			_ = resp.Body.Close()
			got, err := strconv.Atoi(string(body[:n]))
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				t.Errorf("op %d: %v", i, err)
			case o.change:
				ended = max(ended, got)
			case got < least:
				t.Errorf("op %d: value %d, when %d was there before it began (%s)", i, got, least, resp.Header.Get("Cache-Status"))
			default:
				if s, _ := cache.Of(resp); !s.Hit || s.Collapsed || s.Detail == "if-error" {
					break // it was chosen some time ago
				}
				if got < hits[o.language] {
					t.Errorf("op %d: value %d after %d (%s)", i, got, hits[o.language], resp.Header.Get("Cache-Status"))
				}
				hits[o.language] = max(hits[o.language], got)
			}
		})
	}
	wg.Wait()
}
