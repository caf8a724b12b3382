package rest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"sync"
	"time"
)

const (
	defaultMaxBytes = 64 << 20
	defaultStall    = 10 * time.Second
)

// held is what a body gives back at its end. It must not reach the response, or a
// body that nobody closes would never be collected.
type held struct {
	once    sync.Once
	release func()
	leave   func() bool
	cancel  context.CancelCauseFunc
}

// end gives the permit back. cut also ends the connection.
func (h *held) end(cut bool) {
	h.once.Do(func() {
		h.leave()
		if cut {
			h.cancel(context.Canceled)
		}
		h.release()
	})
}

// guarded is a response whose body holds the permit until its end. It is a copy: the
// standard transport's own response stays reachable from its connection.
func (t *Transport) guarded(resp *http.Response, a *attempt, release func()) *http.Response {
	h := &held{release: release, leave: a.leave, cancel: a.cancel}
	if resp.Body == nil || resp.Body == http.NoBody {
		h.end(true)
		return resp
	}
	out := *resp
	b := &body{inner: resp.Body, held: h, from: resp, to: &out, left: t.MaxBytes, stall: t.Stall}
	if b.left == 0 {
		b.left = defaultMaxBytes
	}
	if b.stall == 0 {
		b.stall = defaultStall
	}
	if rw, ok := resp.Body.(io.ReadWriteCloser); ok && resp.StatusCode == http.StatusSwitchingProtocols {
		b.left, b.stall = -1, -1
		out.Body = &both{body: b, w: rw}
	} else {
		out.Body = b
	}
	runtime.AddCleanup(b, func(h *held) { h.end(true) }, h)
	return &out
}

// body is a response's body.
type body struct {
	inner    io.ReadCloser
	held     *held
	from, to *http.Response
	left     int64
	stall    time.Duration
	timer    *time.Timer
	mu       sync.Mutex
	done     bool
}

// Read reads. A body that is too large, or brings nothing for too long, is an error.
func (b *body) Read(p []byte) (int, error) {
	if b.left >= 0 && int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	switch {
	case b.stall <= 0:
	case b.timer == nil:
		cancel := b.held.cancel
		b.timer = time.AfterFunc(b.stall, func() { cancel(ErrStalled) })
	default:
		b.timer.Reset(b.stall)
	}
	n, err := b.inner.Read(p)
	if b.timer != nil {
		b.timer.Stop()
	}
	if b.left >= 0 {
		if b.left -= int64(n); b.left < 0 {
			b.end(true)
			return 0, ErrTooLarge
		}
	}
	if err != nil {
		if err == io.EOF {
			b.to.Trailer = b.from.Trailer
		}
		b.end(!errors.Is(err, io.EOF))
	}
	return n, err
}

func (b *body) end(cut bool) {
	b.mu.Lock()
	b.done = true
	b.mu.Unlock()
	b.held.end(cut)
}

// Close drains what is left, within bounds, and gives the permit back.
func (b *body) Close() error {
	b.mu.Lock()
	done := b.done
	b.done = true
	b.mu.Unlock()
	if !done && b.to.StatusCode != http.StatusSwitchingProtocols {
		discard(b.inner, b.held.cancel)
	}
	err := b.inner.Close()
	b.held.end(true)
	return err
}

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
