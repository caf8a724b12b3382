package rest

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

const (
	defaultMaxBytes = 64 << 20
	defaultStall    = 10 * time.Second

	drainBytes = 64 << 10
	drainTime  = 50 * time.Millisecond
)

// setBounds takes the bounds of answers; zero is the default.
func (s *sender) setBounds(maxBytes int64, stall time.Duration) {
	s.maxBytes, s.stall = maxBytes, stall
	if maxBytes == 0 {
		s.maxBytes = defaultMaxBytes
	}
	// One byte more than the bound is asked for, to see whether there is more.
	s.maxBytes = min(s.maxBytes, math.MaxInt64-1)
	if stall == 0 {
		s.stall = defaultStall
	}
}

// held is what a body releases at its end. It must not refer to the response; otherwise
// a body that nobody closes would never be garbage collected.
type held struct {
	once    sync.Once
	release func(error) // the permit; nil if none is held
	attempt *attempt
	cleanup runtime.Cleanup
}

// end releases everything. If the body was not read to its end, the connection is
// closed.
func (h *held) end() { h.fail(nil) }

// fail is end for a body that broke off with err, which the guard judges.
func (h *held) fail(err error) {
	h.once.Do(func() {
		h.cleanup.Stop()
		h.attempt.cancel(context.Canceled)
		if h.release != nil {
			h.release(err)
		}
	})
}

// guarded returns the response for the caller of r. If its body has not arrived yet, the
// body holds the attempt until its end and, if hold is set, its permit. In that case the
// response is a copy, because the standard transport keeps a reference to its own.
func (s *sender) guarded(resp *http.Response, r *http.Request, a *attempt, hold bool) *http.Response {
	resp.Request = r
	if isBodiless(resp, r) && resp.Body != http.NoBody {
		_ = resp.Body.Close() // HTTP/2 sets an empty body that is not http.NoBody
		resp.Body = http.NoBody
	}
	if _, buffered := resp.Body.(*bufferedBody); buffered || resp.Body == http.NoBody {
		a.cancel(context.Canceled)
		return resp
	}
	h := &held{attempt: a}
	if hold {
		h.release = resilience.Hold(a.guarded)
	}
	out := *resp
	b := &body{inner: resp.Body, held: h, from: resp, to: &out, left: s.maxBytes, began: time.Since(epoch)}
	b.since = b.began
	if rw, ok := resp.Body.(io.ReadWriteCloser); ok && resp.StatusCode == http.StatusSwitchingProtocols {
		// The upgraded connection lives for as long as the caller wants.
		a.leave()
		b.left = -1
		out.Body = &both{body: b, w: rw}
	} else {
		b.watched = a.watch(s.stall)
		out.Body = b
	}
	h.cleanup = runtime.AddCleanup(b, (*held).end, h)
	return &out
}

// isBodiless reports whether an answer has no body, whatever its Content-Length says.
func isBodiless(resp *http.Response, r *http.Request) bool {
	return r.Method == http.MethodHead || resp.StatusCode == http.StatusNoContent || resp.StatusCode == http.StatusNotModified ||
		resp.ContentLength == 0 && resp.ProtoMajor == 2
}

// body is a response's body.
type body struct {
	inner    io.ReadCloser
	held     *held
	from, to *http.Response
	left     int64 // below zero: no limit
	watched  bool
	read     atomic.Int64
	closed   atomic.Bool
	failed   error // the error of each further Read
	// began is when the caller got the body, paused how long it was not reading altogether,
	// pause how long before the last Read; since is when that Read returned. Offsets from epoch.
	began, since, pause, paused time.Duration

	mu   sync.Mutex
	done bool
}

// Read implements io.Reader. It fails if the body is too large, or if no data arrives
// for too long.
func (b *body) Read(p []byte) (int, error) {
	if b.closed.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	if b.failed != nil {
		return 0, b.failed
	}
	if b.left >= 0 && int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	a, began := b.held.attempt, time.Since(epoch)
	b.pause = began - b.since
	b.paused += b.pause
	if b.watched {
		a.reading.Store(int64(began))
	}
	n, err := b.inner.Read(p)
	if b.watched {
		a.reading.Store(0)
	}
	b.since = time.Since(epoch)
	b.read.Add(int64(n))
	if b.left >= 0 {
		b.left -= int64(n)
		if b.left < 0 {
			n, err = n-1, ErrTooLarge
		}
	}
	if err == nil {
		return n, nil
	}
	if err == io.EOF {
		b.to.Trailer = b.from.Trailer
		b.end(nil)
	} else {
		err = a.explain(err)
		if b.isCallers(err) {
			b.end(nil)
		} else {
			b.end(err)
		}
	}
	b.failed = err
	return n, err
}

// isCallers reports whether the caller is why a body broke off: it closed the body, did
// not read for half of the time that it had, or the connection is its own after an upgrade.
func (b *body) isCallers(err error) bool {
	if b.closed.Load() || b.to.StatusCode == http.StatusSwitchingProtocols {
		return true
	}
	paused := b.pause
	if isTimeout(err) && !errors.Is(err, ErrStalled) {
		paused = b.paused
	}
	return paused >= (b.since-b.began)/2
}

// end ends the body; failed is why it broke off, nil if it did not.
func (b *body) end(failed error) {
	b.mu.Lock()
	b.done = true
	b.mu.Unlock()
	b.held.fail(failed)
}

// Close reads the rest of the body, within bounds, so that the connection can be
// reused, and returns the permit.
func (b *body) Close() error {
	b.closed.Store(true)
	b.mu.Lock()
	done := b.done
	b.done = true
	b.mu.Unlock()
	if !done && b.to.StatusCode != http.StatusSwitchingProtocols && b.to.ContentLength-b.read.Load() <= drainBytes {
		drain(b.inner, b.held.attempt)
	}
	err := b.inner.Close()
	b.held.end()
	return err
}

// drain reads the rest of a body, up to a number of bytes and a time. If that is not
// enough, the connection is not reused.
func drain(body io.Reader, a *attempt) {
	t := time.AfterFunc(drainTime, func() { a.cancel(errDrained) })
	defer t.Stop()
	_, _ = io.CopyN(io.Discard, body, drainBytes)
}

var errDrained = errors.New("rest: a discarded body took too long")

// both is the body of a connection that changed its protocol.
type both struct {
	*body
	w io.Writer
}

// Write writes to the connection.
func (b *both) Write(p []byte) (int, error) { return b.w.Write(p) }

// CloseWrite ends the writing side, where the connection can.
func (b *both) CloseWrite() error {
	if c, ok := b.w.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return errors.New("rest: the connection can't end one side")
}
