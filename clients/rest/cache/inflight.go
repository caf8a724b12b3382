package cache

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

// outcome is what the end of a fetch means for the requests that wait for it.
type outcome uint8

const (
	// answered: the response is stored, and serves all requests that it matches.
	answered outcome = iota
	// failed: the server itself failed, as it would have for the waiting requests.
	failed
	// again: the fetching caller has gone. The waiting requests fetch again, together.
	again
	// apart: the fetch ended for a reason that concerns its caller only: a timeout, a refusal
	// of the call, a broken body. Each waiting request fetches for itself.
	apart
	// unshared: the response can't be shared, and likely neither can the next one.
	unshared
)

// inflight is a fetch that requests can wait for. Its result is set before done is closed.
type inflight struct {
	key    string
	marks  resilience.Marks
	cancel context.CancelFunc // of a refresh in the background
	done   chan struct{}

	outcome outcome
	entry   *entry // if answered
	err     error  // if failed; nil if the server has answered with a failure

	// The cache's lock guards the number of waiting requests, and the body being received.
	waiting int
	body    *transfer
}

const (
	// aloneFor is how long requests for an address don't wait for each other after a response
	// of it could not be shared.
	aloneFor = time.Minute
	// bounded limits the maps that hold something per address.
	bounded = 4096
	// maxJoins is how often a request waits for the fetch of another before it fetches for
	// itself.
	maxJoins = 3
)

// shareKey returns a key that differs for requests that can't share a response.
func (c *Cache) shareKey(key string, r *http.Request) string {
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

// join finds a fetch that a request may wait for. If there is none, it registers one, and
// leads is true: the caller must finish it. It returns nil if the request must not share.
// No request waits for a fetch that is treated worse than itself (less important, or
// without repeats).
func (c *Cache) join(key string, marks resilience.Marks) (f *inflight, leads bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.inflight[key] {
		if f.marks.Covers(marks) {
			f.waiting++
			return f, false
		}
	}
	if until, ok := c.alone[key]; ok {
		if c.now().Before(until) {
			return nil, false
		}
		delete(c.alone, key)
	}
	return c.startLocked(key, marks, nil), true
}

// joinRefresh registers a background fetch, which is a task of the cache. It returns nil if
// any fetch of the same response is under way, or if the cache is closed.
func (c *Cache) joinRefresh(key string, marks resilience.Marks, cancel context.CancelFunc) *inflight {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || len(c.inflight[key]) > 0 {
		return nil
	}
	c.tasks.Add(1)
	return c.startLocked(key, marks, cancel)
}

func (c *Cache) startLocked(key string, marks resilience.Marks, cancel context.CancelFunc) *inflight {
	f := &inflight{key: key, marks: marks, cancel: cancel, done: make(chan struct{})}
	c.inflight[key] = append(c.inflight[key], f)
	return f
}

// wait waits for a fetch, or for the end of the context. A body that is being received is
// read ahead, so that the pace of its own caller does not matter.
func (c *Cache) wait(ctx context.Context, f *inflight) error {
	c.mu.Lock()
	body := f.body
	c.mu.Unlock()
	if body != nil {
		body.pull()
	}
	select {
	case <-f.done:
		return nil
	case <-ctx.Done():
	}
	c.mu.Lock()
	f.waiting--
	c.mu.Unlock()
	return ctx.Err()
}

// receives notes that the body of a fetch is being received.
func (c *Cache) receives(f *inflight, t *transfer) {
	if f == nil {
		return
	}
	c.mu.Lock()
	f.body = t
	waiting := f.waiting > 0
	c.mu.Unlock()
	if waiting {
		t.pull()
	}
}

// awaited reports whether requests wait for a fetch.
func (c *Cache) awaited(f *inflight) bool {
	if f == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return f.waiting > 0
}

// finish ends a fetch. Later calls, and calls for nil, do nothing.
func (c *Cache) finish(f *inflight, o outcome, e *entry, err error) {
	if f == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	rest, found := c.inflight[f.key][:0], false
	for _, other := range c.inflight[f.key] {
		if other == f {
			found = true
		} else {
			rest = append(rest, other)
		}
	}
	if !found {
		return
	}
	clear(c.inflight[f.key][len(rest):])
	c.inflight[f.key] = rest
	if len(rest) == 0 {
		delete(c.inflight, f.key)
	}
	if o == unshared {
		if len(c.alone) >= bounded {
			clear(c.alone)
		}
		c.alone[f.key] = c.now().Add(aloneFor)
	}
	f.outcome, f.entry, f.err, f.body = o, e, err, nil
	close(f.done)
}

// finishWith ends a fetch with a response, which is shared if it is stored and fresh.
func (c *Cache) finishWith(f *inflight, e *entry, stored bool) {
	if stored && e.isFresh(parse(nil), c.now()) {
		c.finish(f, answered, e, nil)
	} else {
		c.finish(f, unshared, nil, nil)
	}
}

// outcomeOf says what a failed fetch means for the requests that wait for it.
func (c *Cache) outcomeOf(r *http.Request, err error) outcome {
	ctx := r.Context()
	// A guard's timer may fire before the context's own.
	deadline, timed := ctx.Deadline()
	var network net.Error
	switch {
	case ctx.Err() != nil, timed && !c.now().Before(deadline), isCallers(err):
		return again
	case errors.Is(err, resilience.ErrRefused), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled),
		errors.As(err, &network) && network.Timeout():
		return apart
	}
	return failed
}
