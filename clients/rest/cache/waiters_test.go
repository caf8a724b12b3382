package cache_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/clients/rest/cache"
	"github.com/backstay-go/backstay/resilience"
)

// TestWaitersNeverGetWhatConcernsTheFirstCallerOnly: however the first fetch ends, those who
// waited for it get what they would have got alone.
func TestWaitersNeverGetWhatConcernsTheFirstCallerOnly(t *testing.T) {
	down := errors.New("connection refused")
	for _, c := range []struct {
		name   string
		err    error // of the first fetch, after a second
		left   time.Duration
		shared bool
	}{
		{name: "the server fails", err: down, shared: true},
		{name: "its own deadline, seen by a guard first", err: fmt.Errorf("guard: %w", context.DeadlineExceeded), left: time.Second},
		{name: "its operation's time-out", err: fmt.Errorf("guard: %w", context.DeadlineExceeded)},
		{name: "it was cancelled further in", err: fmt.Errorf("guard: %w", context.Canceled)},
		{name: "a refusal", err: &resilience.Refusal{By: resilience.ErrFull}},
		{name: "a refusal further in", err: fmt.Errorf("no more attempts: %w", &resilience.Refusal{By: resilience.ErrOpen})},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				kept := made(t, cache.Config{})
				o := numbered("Cache-Control", "max-age=60")
				inner := o.answer
				o.answer = func(r *http.Request) (*http.Response, error) {
					first := o.requests.Load() == 1
					time.Sleep(time.Second)
					if first {
						return nil, c.err
					}
					return inner(r)
				}
				var wg sync.WaitGroup
				wg.Go(func() {
					ctx := t.Context()
					if c.left > 0 {
						// The guard's timer runs out in the same instant, and the context's own later.
						ctx = late{ctx, time.Now().Add(c.left)}
					}
					r, _ := http.NewRequestWithContext(ctx, "GET", address, nil)
					if _, err := kept.Serve(r, o.next); !errors.Is(err, c.err) {
						t.Errorf("the first got %v", err)
					}
				})
				synctest.Wait()
				for range 10 {
					wg.Go(func() {
						_, _, err := try(t, kept, o, "GET", address)
						if c.shared != errors.Is(err, down) || !c.shared && err != nil {
							t.Errorf("a request that waited got %v", err)
						}
					})
				}
				wg.Wait()
			})
		})
	}
}

// late is a context whose deadline has passed before it is done.
type late struct {
	context.Context
	at time.Time
}

func (l late) Deadline() (time.Time, bool) { return l.at, true }

// TestNobodyWaitsForALesserCall: one that may be pushed out of a queue, or gets no repeats,
// is not waited for by one that is treated better; the other way it is.
func TestNobodyWaitsForALesserCall(t *testing.T) {
	plain := func(ctx context.Context) context.Context { return ctx }
	class := func(c resilience.Criticality) func(context.Context) context.Context {
		return func(ctx context.Context) context.Context { return resilience.WithCriticality(ctx, c) }
	}
	for _, c := range []struct {
		name          string
		first, second func(context.Context) context.Context
		want          int64
	}{
		{"both plain", plain, plain, 1},
		{"less important first", class(resilience.Sheddable), class(resilience.CriticalPlus), 2},
		{"less important first, then one without a class", class(resilience.Sheddable), plain, 2},
		{"more important first", class(resilience.CriticalPlus), class(resilience.Sheddable), 1},
		{"a repeat first", resilience.WithRetried, plain, 2},
		{"a repeat second", plain, resilience.WithRetried, 1},
		{"not hedged first", resilience.WithoutHedge, plain, 2},
		{"not hedged second", plain, resilience.WithoutHedge, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				kept, o := made(t, cache.Config{}), slow("Cache-Control", "max-age=60")
				var wg sync.WaitGroup
				for _, with := range []func(context.Context) context.Context{c.first, c.second} {
					wg.Go(func() {
						r, _ := http.NewRequestWithContext(with(t.Context()), "GET", address, nil)
						if _, err := kept.Serve(r, o.next); err != nil {
							t.Error(err)
						}
					})
					synctest.Wait()
				}
				wg.Wait()
				if o.requests.Load() != c.want {
					t.Errorf("%d fetches, want %d", o.requests.Load(), c.want)
				}
			})
		})
	}
}

// streamed answers with a body of some size that takes its time, with a stated length or
// without.
func streamed(size int, stated bool, piece time.Duration, fields ...string) *origin {
	o := &origin{}
	o.answer = func(r *http.Request) (*http.Response, error) {
		time.Sleep(time.Second)
		resp := say(200, "", fields...)
		resp.Body, resp.ContentLength = io.NopCloser(&pieces{size: size, wait: piece, ctx: r.Context()}), -1
		if stated {
			resp.ContentLength = int64(size)
		}
		return resp, nil
	}
	return o
}

// pieces is a body that comes in pieces, each after a wait; so does its end.
type pieces struct {
	size int
	wait time.Duration
	ctx  context.Context
}

func (p *pieces) Read(b []byte) (int, error) {
	select {
	case <-time.After(p.wait):
	case <-p.ctx.Done():
		return 0, p.ctx.Err()
	}
	if p.size == 0 {
		return 0, io.EOF
	}
	n := min(len(b), p.size, 1000)
	copy(b, bytes.Repeat([]byte("x"), n))
	p.size -= n
	return n, nil
}

// TestBodiesOfAnyLengthAreShared: those who wait for a body get it, whether its length is
// stated, at whatever pace its first caller reads it, also if that one does not.
func TestBodiesOfAnyLengthAreShared(t *testing.T) {
	for _, size := range []int{0, 3000, 100_000} {
		for _, stated := range []bool{true, false} {
			for _, reads := range []bool{true, false} {
				t.Run(fmt.Sprint(size, " stated ", stated, " read ", reads), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						kept, o := made(t, cache.Config{}), streamed(size, stated, time.Millisecond, "Cache-Control", "max-age=60")
						r, _ := http.NewRequestWithContext(t.Context(), "GET", address, nil)
						resp, err := kept.Serve(r, o.next)
						if err != nil {
							t.Fatal(err)
						}
						var wg sync.WaitGroup
						for range 20 {
							wg.Go(func() {
								if _, body := ask(t, kept, o); len(body) != size {
									t.Errorf("%d bytes", len(body))
								}
							})
						}
						if reads {
							if b, err := io.ReadAll(resp.Body); err != nil || len(b) != size {
								t.Errorf("the first got %d bytes, %v", len(b), err)
							}
						}
						wg.Wait()
						if b, err := io.ReadAll(resp.Body); err != nil || !reads && len(b) != size {
							t.Errorf("later %d bytes, %v", len(b), err)
						}
						if err := resp.Body.Close(); err != nil {
							t.Error(err)
						}
						if o.requests.Load() != 1 {
							t.Errorf("%d fetches", o.requests.Load())
						}
					})
				})
			}
		}
	}
}

// TestABodyTooLargeIsNotShared, nor kept, and comes whole to each, also where others wait.
func TestABodyTooLargeIsNotShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept, o := made(t, cache.Config{MaxEntry: 5000}), streamed(20_000, false, time.Millisecond, "Cache-Control", "max-age=60")
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				if _, body := ask(t, kept, o); len(body) != 20_000 {
					t.Errorf("%d bytes", len(body))
				}
			})
		}
		wg.Wait()
		if o.requests.Load() != 5 || kept.Bytes() != 0 {
			t.Errorf("%d fetches, %d bytes kept", o.requests.Load(), kept.Bytes())
		}
	})
}

// TestABrokenBodyFailsItsOwnCallerOnly.
func TestABrokenBodyFailsItsOwnCallerOnly(t *testing.T) {
	for what, leave := range map[string]func(*http.Response, context.CancelFunc){
		"cancelled": func(_ *http.Response, cancel context.CancelFunc) { cancel() },
		"closed, then cancelled": func(r *http.Response, cancel context.CancelFunc) {
			_ = r.Body.Close()
			cancel()
		},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				kept, o := made(t, cache.Config{}), streamed(5000, false, time.Second, "Cache-Control", "max-age=60")
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				r, _ := http.NewRequestWithContext(ctx, "GET", address, nil)
				resp, err := kept.Serve(r, o.next)
				if err != nil {
					t.Fatal(err)
				}
				var wg sync.WaitGroup
				for range 5 {
					wg.Go(func() {
						if _, body := ask(t, kept, o); len(body) != 5000 {
							t.Errorf("%d bytes", len(body))
						}
					})
				}
				synctest.Wait()
				leave(resp, cancel)
				wg.Wait()
				_ = resp.Body.Close()
			})
		})
	}
}

// TestRefreshesDoNotStampede: one at a time, however long its body takes, whatever the
// class of the requests that are answered meanwhile.
func TestRefreshesDoNotStampede(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept, o := made(t, cache.Config{}), streamed(3000, false, 100*time.Millisecond, "Cache-Control", "max-age=1, stale-while-revalidate=60")
		ask(t, kept, o)
		time.Sleep(2 * time.Second)
		classes := []resilience.Criticality{resilience.Sheddable, resilience.CriticalPlus}
		for i := range 200 {
			r, _ := http.NewRequestWithContext(resilience.WithCriticality(t.Context(), classes[i%2]), "GET", address, nil)
			resp, err := kept.Serve(r, o.next)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			time.Sleep(time.Millisecond)
		}
		if o.requests.Load() != 2 {
			t.Errorf("%d fetches, want the first and one refresh", o.requests.Load())
		}
		synctest.Wait()
		time.Sleep(5 * time.Second)
	})
}

// TestADecoderFillsTheCache, though it stops reading before it has seen the body's end,
// and its caller cancels right after.
func TestADecoderFillsTheCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := made(t, cache.Config{})
		o := &origin{answer: func(r *http.Request) (*http.Response, error) {
			resp := say(200, "", "Cache-Control", "max-age=60")
			text, _ := json.Marshal(map[string]int{"n": 1})
			resp.Body, resp.ContentLength = io.NopCloser(io.MultiReader(bytes.NewReader(text), &pieces{wait: 5 * time.Millisecond, ctx: r.Context()})), -1
			return resp, nil
		}}
		for range 5 {
			ctx, cancel := context.WithCancel(t.Context())
			r, _ := http.NewRequestWithContext(ctx, "GET", address, nil)
			resp, err := kept.Serve(r, o.next)
			if err != nil {
				t.Fatal(err)
			}
			var v map[string]int
			if err := json.NewDecoder(resp.Body).Decode(&v); err != nil || v["n"] != 1 {
				t.Errorf("%v, %v", v, err)
			}
			_ = resp.Body.Close()
			cancel()
		}
		if o.requests.Load() != 1 {
			t.Errorf("%d fetches", o.requests.Load())
		}
	})
}

// TestCloseDoesNotWaitForASlowBody, and ends its request.
func TestCloseDoesNotWaitForASlowBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := made(t, cache.Config{})
		var ended atomic.Bool
		o := &origin{answer: func(r *http.Request) (*http.Response, error) {
			context.AfterFunc(r.Context(), func() { ended.Store(true) })
			resp := say(200, "", "Cache-Control", "max-age=60")
			resp.Body, resp.ContentLength = io.NopCloser(&pieces{size: 1e6, wait: time.Hour, ctx: r.Context()}), -1
			return resp, nil
		}}
		r, _ := http.NewRequestWithContext(t.Context(), "GET", address, nil)
		resp, err := kept.Serve(r, o.next)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_ = resp.Body.Close()
		synctest.Wait()
		if took := time.Since(began); took > 100*time.Millisecond || !ended.Load() || kept.Bytes() != 0 {
			t.Errorf("took %v, ended %t, %d bytes kept", took, ended.Load(), kept.Bytes())
		}
		if _, err := resp.Body.Read(make([]byte, 1)); err == nil || err == io.EOF {
			t.Errorf("a read after Close: %v", err)
		}
	})
}
