package cache_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/clients/rest/cache"
)

// slow is an origin whose answers take a second.
func slow(fields ...string) *origin {
	o := numbered(fields...)
	inner := o.answer
	o.answer = func(r *http.Request) (*http.Response, error) {
		resp, err := inner(r)
		time.Sleep(time.Second)
		return resp, err
	}
	return o
}

func TestMissesAreOneFetch(t *testing.T) {
	for _, c := range []struct {
		name   string
		fields []string
		want   int64
	}{
		{"an answer for all", []string{"Cache-Control", "max-age=60"}, 1},
		{"an answer for one", []string{"Cache-Control", "private"}, 20},
		{"an answer that must be asked for", []string{"Cache-Control", "no-cache", "Etag", `"1"`}, 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				kept, o := made(t, cache.Config{}), slow(c.fields...)
				for round := range 2 {
					began := time.Now()
					var wg sync.WaitGroup
					for range 20 {
						wg.Go(func() { ask(t, kept, o) })
					}
					wg.Wait()
					// A request that can't share waits for the first only once: after that it is known.
					if took := time.Since(began); took > time.Duration(2-round)*time.Second {
						t.Errorf("round %d took %v", round, took)
					}
					if round == 0 && o.requests.Load() != c.want {
						t.Errorf("%d fetches for 20 requests, want %d", o.requests.Load(), c.want)
					}
				}
			})
		})
	}
}

// TestUsersDoNotShare: twenty users at once, none gets what was answered to another.
func TestUsersDoNotShare(t *testing.T) {
	for _, name := range []string{"Authorization", "Cookie", "X-Api-Key"} {
		synctest.Test(t, func(t *testing.T) {
			kept := made(t, cache.Config{StaleIfError: time.Hour})
			o := &origin{answer: func(r *http.Request) (*http.Response, error) {
				time.Sleep(time.Second)
				return say(200, "for "+r.Header.Get(name), "Cache-Control", "max-age=60, stale-while-revalidate=60, stale-if-error=60"), nil
			}}
			var wg sync.WaitGroup
			for i := range 20 {
				wg.Go(func() {
					for range 3 {
						user := fmt.Sprint("user-", i)
						if _, body := ask(t, kept, o, name, user); body != "for "+user {
							t.Errorf("%s got what is %s", user, body)
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

func TestTheFirstCallersEndFailsNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := made(t, cache.Config{})
		o := numbered("Cache-Control", "max-age=60")
		inner := o.answer
		o.answer = func(r *http.Request) (*http.Response, error) {
			select {
			case <-r.Context().Done():
				return nil, r.Context().Err()
			case <-time.After(time.Second):
				return inner(r)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			r, _ := http.NewRequestWithContext(ctx, "GET", address, nil)
			if _, err := kept.Serve(r, o.next); !errors.Is(err, context.Canceled) {
				t.Errorf("the first caller got %v", err)
			}
		})
		synctest.Wait()
		for range 10 {
			wg.Go(func() {
				if _, _, err := try(t, kept, o, "GET", address); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		cancel()
		wg.Wait()
		if n := o.requests.Load(); n != 2 {
			t.Errorf("%d fetches, want the one that was given up and one more", n)
		}
	})
}

func TestWhoWaitsMayLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept, o := made(t, cache.Config{}), slow("Cache-Control", "max-age=60")
		var wg sync.WaitGroup
		wg.Go(func() { ask(t, kept, o) })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		r, _ := http.NewRequestWithContext(ctx, "GET", address, nil)
		if _, err := kept.Serve(r, o.next); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		wg.Wait()
	})
}

// TestFailuresAreShared: when the server fails, the requests that waited are not sent as well.
func TestFailuresAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := errors.New("down")
		kept := made(t, cache.Config{})
		o := &origin{answer: func(*http.Request) (*http.Response, error) { time.Sleep(time.Second); return nil, down }}
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if _, _, err := try(t, kept, o, "GET", address); !errors.Is(err, down) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if o.requests.Load() != 1 {
			t.Errorf("%d fetches", o.requests.Load())
		}
	})
}

func TestAPanicFreesWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept, o := made(t, cache.Config{}), numbered("Cache-Control", "max-age=60")
		inner := o.answer
		o.answer = func(r *http.Request) (*http.Response, error) {
			if o.requests.Load() == 1 {
				time.Sleep(time.Second)
				panic("in the transport")
			}
			return inner(r)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			defer func() { _ = recover() }()
			r, _ := http.NewRequestWithContext(t.Context(), "GET", address, nil)
			_, _ = kept.Serve(r, o.next)
		})
		synctest.Wait()
		wg.Go(func() { ask(t, kept, o) })
		wg.Wait()
	})
}

// stream is a body of unknown length that notes how far it was read.
type stream struct {
	io.Reader
	read, closed int
}

func (s *stream) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	s.read += n
	return n, err
}

func (s *stream) Close() error { s.closed++; return nil }

func TestBodiesAreNotReadAhead(t *testing.T) {
	kept := made(t, cache.Config{MaxEntry: 1000})
	var last *stream
	size := 500
	o := &origin{}
	o.answer = func(*http.Request) (*http.Response, error) {
		resp := say(200, "", "Cache-Control", "max-age=60")
		last = &stream{Reader: bytes.NewReader(make([]byte, size))}
		resp.Body, resp.ContentLength = last, -1
		return resp, nil
	}
	r, _ := http.NewRequestWithContext(t.Context(), "GET", address, nil)
	resp, err := kept.Serve(r, o.next)
	if err != nil {
		t.Fatal(err)
	}
	if last.read != 0 {
		t.Errorf("%d bytes were read before anybody asked", last.read)
	}
	_, _ = resp.Body.Read(make([]byte, 10))
	resp.Body.Close()
	if last.closed != 1 || kept.Bytes() == 0 {
		t.Errorf("closed %d times, %d bytes kept of a body whose rest was there", last.closed, kept.Bytes())
	}
	if _, body := ask(t, kept, o); o.requests.Load() != 1 || len(body) != 500 {
		t.Errorf("%d requests, %d bytes", o.requests.Load(), len(body))
	}
	size = 2000
	before := kept.Bytes()
	if _, body := request(t, kept, o, "GET", address+"/large"); len(body) != 2000 || kept.Bytes() != before {
		t.Errorf("%d bytes, kept %d more", len(body), kept.Bytes()-before)
	}
}

func TestABrokenBodyIsNotKept(t *testing.T) {
	broken := errors.New("connection reset")
	for _, length := range []int64{-1, 1000} {
		kept := made(t, cache.Config{})
		o := &origin{answer: func(*http.Request) (*http.Response, error) {
			resp := say(200, "", "Cache-Control", "max-age=60")
			resp.Body, resp.ContentLength = io.NopCloser(io.MultiReader(strings.NewReader("half"), errReader{broken})), length
			return resp, nil
		}}
		r, _ := http.NewRequestWithContext(t.Context(), "GET", address, nil)
		resp, err := kept.Serve(r, o.next)
		if err == nil {
			_, err = io.ReadAll(resp.Body)
			resp.Body.Close()
		}
		if !errors.Is(err, broken) || kept.Bytes() != 0 {
			t.Errorf("length %d: %v, %d bytes kept", length, err, kept.Bytes())
		}
	}
}

type errReader struct{ err error }

func (e errReader) Read([]byte) (int, error) { return 0, e.err }

func TestMemoryIsBounded(t *testing.T) {
	const limit = 100_000
	kept, o := made(t, cache.Config{MaxBytes: limit}), &origin{}
	o.answer = func(*http.Request) (*http.Response, error) {
		return say(200, strings.Repeat("x", 1000), "Cache-Control", "max-age=60"), nil
	}
	url := func(i int) string { return fmt.Sprint(address, "?", i) }
	for i := range 1000 {
		request(t, kept, o, "GET", url(i))
		request(t, kept, o, "GET", url(0)) // in use, so it stays
		if n := kept.Bytes(); n > limit {
			t.Fatalf("%d bytes are kept, the bound is %d", n, limit)
		}
	}
	if o.requests.Load() != 1000 || kept.Bytes() < limit/2 {
		t.Errorf("%d fetches, %d bytes", o.requests.Load(), kept.Bytes())
	}
	before := o.requests.Load()
	if request(t, kept, o, "GET", url(1)); o.requests.Load() != before+1 {
		t.Error("the least recently used is still there")
	}
}

func TestAHitIsTheCallersOwn(t *testing.T) {
	kept, o := made(t, cache.Config{}), numbered("Cache-Control", "max-age=60", "X-Some", "thing", "Cache-Status", "Near; hit")
	ask(t, kept, o)
	for range 2 {
		resp, _ := ask(t, kept, o)
		if resp.Header.Get("X-Some") != "thing" {
			t.Error("one caller's change is seen by the next")
		}
		resp.Header.Set("X-Some", "else")
		if got := resp.Header["Cache-Status"]; len(got) != 1 || !strings.HasPrefix(got[0], "Backstay; hit; ttl=") {
			t.Errorf("Cache-Status %q: another cache's word on another answer", got)
		}
	}
}

func FuzzCacheControl(f *testing.F) {
	for _, text := range []string{"max-age=60", `private="a,b", no-store`, `max-age="1\"`, ",,,=,", "max-age=99999999999999999999", "no-cache;x"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		kept, err := cache.New(cache.Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer kept.Close()
		r, _ := http.NewRequestWithContext(t.Context(), "GET", address, nil)
		r.Header["Cache-Control"] = []string{text}
		resp, err := kept.Serve(r, func(*http.Request) (*http.Response, error) { return say(200, "x", "Cache-Control", text), nil })
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if s, ok := cache.Of(resp); strings.Contains(strings.ToLower(text), "no-store") && !strings.ContainsAny(text, `"=\`) && s.Stored || !ok {
			t.Errorf("%q was stored: %+v", text, s)
		}
	})
}

func BenchmarkHit(b *testing.B) {
	kept, err := cache.New(cache.Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer kept.Close()
	o := numbered("Cache-Control", "max-age=3600", "Content-Type", "application/json", "Etag", `"1"`)
	r, _ := http.NewRequestWithContext(b.Context(), "GET", address, nil)
	b.ReportAllocs()
	for b.Loop() {
		resp, err := kept.Serve(r, o.next)
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
}
