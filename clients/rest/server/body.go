package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"
)

// bodyTime bounds reading ahead, when neither the caller nor the server says how long
// a body may take to arrive.
const bodyTime = 10 * time.Second

// past is a deadline that ends a Read or Write at once.
var past = time.Unix(1, 0)

// errBodyLate matches the error of a Read that ended because its request did.
var errBodyLate = errors.New("server: the request's body did not arrive in time")

// timedBody is a request's body whose Read ends with a context. It ends a blocked Read
// by a read deadline in the past, so it never lengthens a deadline that was set outside.
// Where a middleware hides the connection's deadlines, a goroutine reads in its place.
type timedBody struct {
	inner io.ReadCloser
	ctx   context.Context
	stop  func() bool
	// direct: the connection can end a Read. Otherwise pending is the Read under way.
	direct  bool
	pending chan piece

	mu sync.Mutex
	// over: nothing is cut off any more. late: the context ended before the body.
	// failed: a Read returned an error other than io.EOF.
	over, late, failed bool
}

// piece is what one Read brought.
type piece struct {
	data []byte
	err  error
}

// timeBody bounds the reading of a body by a context. The caller must call finish.
func timeBody(ctx context.Context, w http.ResponseWriter, body io.ReadCloser) *timedBody {
	b := &timedBody{inner: body, ctx: ctx, direct: hasReadDeadline(w)}
	b.stop = context.AfterFunc(ctx, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if !b.over && b.direct {
			// Without the method, Read itself watches the context.
			_ = http.NewResponseController(w).SetReadDeadline(past)
		}
	})
	return b
}

// hasReadDeadline reports whether a writer, or one that it wraps, can end a Read.
func hasReadDeadline(w http.ResponseWriter) bool {
	for {
		switch v := w.(type) {
		case interface{ SetReadDeadline(time.Time) error }:
			return true
		case interface{ Unwrap() http.ResponseWriter }:
			w = v.Unwrap()
		default:
			return false
		}
	}
}

// finish ends the watch. When it has returned, the connection is left alone.
func (b *timedBody) finish() {
	b.stop()
	b.mu.Lock()
	b.over = true
	b.mu.Unlock()
}

// Read implements io.Reader.
func (b *timedBody) Read(p []byte) (n int, err error) {
	switch {
	case b.ctx.Err() != nil:
		err = b.ctx.Err()
	case b.direct:
		n, err = b.inner.Read(p)
	default:
		n, err = b.readApart(p)
	}
	switch {
	case err == nil:
		return n, nil
	case err == io.EOF:
		b.finish()
		return n, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failed = true
	if cause := context.Cause(b.ctx); cause != nil {
		b.late = b.late || errors.Is(cause, context.DeadlineExceeded)
		return n, fmt.Errorf("%w: %w", errBodyLate, cause)
	}
	return n, err
}

// readApart reads on a goroutine, which ends with the Read: at the latest when the server
// closes the connection.
func (b *timedBody) readApart(p []byte) (int, error) {
	if b.pending == nil {
		b.pending = make(chan piece, 1)
		buf := make([]byte, min(len(p), 32<<10))
		go func(to chan<- piece) {
			n, err := b.inner.Read(buf)
			to <- piece{buf[:n], err}
		}(b.pending)
	}
	select {
	case got := <-b.pending:
		b.pending = nil
		return copy(p, got.data), got.err
	case <-b.ctx.Done(): // from now on no Read comes to the body
		return 0, b.ctx.Err()
	}
}

// Close implements io.Closer.
func (b *timedBody) Close() error {
	if b.pending != nil {
		return nil // it would wait for the Read; the server closes the body itself
	}
	return b.inner.Close()
}

// state says how the reading went.
func (b *timedBody) state() (late, failed bool) {
	if b == nil {
		return false, false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.late, b.failed
}

// readAhead reads a small body before anything else is done, which has two effects.
// The standard server notices on HTTP/1.1 that a caller has gone only once the body is
// read (golang/go#23262). And a body that arrives slowly holds no permit.
//
// Only a body of a known length up to limit is read: one without may be a conversation,
// in which the caller waits for an answer before it goes on. The returned body gives
// what was read, then the error that ended it.
func readAhead(ctx context.Context, w http.ResponseWriter, r *http.Request, limit int64) (io.ReadCloser, error) {
	if r.ContentLength <= 0 || r.ContentLength > limit || r.Body == nil || r.Body == http.NoBody {
		return r.Body, nil
	}
	if s, ok := ctx.Value(http.ServerContextKey).(*http.Server); !ok || s.ReadTimeout == 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, bodyTime)
		defer cancel()
	}
	timed := timeBody(ctx, w, r.Body)
	defer timed.finish()
	b := &aheadBody{inner: r.Body}
	var buf bytes.Buffer
	buf.Grow(int(min(r.ContentLength, 4<<10)) + bytes.MinRead)
	_, b.err = buf.ReadFrom(timed)
	if errors.Is(b.err, os.ErrDeadlineExceeded) || errors.Is(b.err, context.DeadlineExceeded) {
		return nil, errSlowBody
	}
	if b.err == nil {
		b.err = io.EOF
	}
	b.read.Reset(buf.Bytes())
	return b, nil
}

// aheadBody is a body that was read ahead.
type aheadBody struct {
	read  bytes.Reader
	inner io.ReadCloser
	err   error
}

// Read reads what was read ahead, then returns what ended it.
func (b *aheadBody) Read(p []byte) (int, error) {
	n, err := b.read.Read(p)
	if err == io.EOF && n == 0 && len(p) > 0 {
		return 0, b.err
	}
	return n, nil
}

// WriteTo writes what is left of it.
func (b *aheadBody) WriteTo(w io.Writer) (int64, error) {
	n, err := b.read.WriteTo(w)
	if err == nil && b.err != io.EOF {
		err = b.err
	}
	return n, err
}

// Close closes the body itself.
func (b *aheadBody) Close() error { return b.inner.Close() }
