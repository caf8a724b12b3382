package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"time"
)

// bodyTime bounds reading ahead, when neither the caller nor the server says how long
// a body may take to arrive.
const bodyTime = 10 * time.Second

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
		until := time.Now().Add(bodyTime)
		if d, ok := ctx.Deadline(); ok && d.Before(until) {
			until = d
		}
		rc := http.NewResponseController(w)
		if rc.SetReadDeadline(until) == nil {
			// A writer that can't do it once can't do it twice.
			defer func() { _ = rc.SetReadDeadline(time.Time{}) }()
		}
	}
	b := &aheadBody{inner: r.Body}
	var buf bytes.Buffer
	buf.Grow(int(min(r.ContentLength, 4<<10)) + bytes.MinRead)
	_, b.err = buf.ReadFrom(r.Body)
	if errors.Is(b.err, os.ErrDeadlineExceeded) || errors.Is(b.err, context.DeadlineExceeded) {
		return nil, errSlowBody
	}
	if b.err == nil {
		b.err = io.EOF
	}
	b.read.Reset(buf.Bytes())
	return b, nil
}

// aheadBody is a body that was read.
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
