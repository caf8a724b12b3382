package rest

import (
	"io"
	"net/http"
	"sync"
	"time"
)

const (
	// bufferedBytes is the largest answer that is read within its attempt. Then an answer
	// that breaks off is a failed attempt, which may be repeated, and neither a permit nor
	// a connection waits for the caller to read.
	bufferedBytes = 16 << 10
	// pageBytes is the size of buffers that are reused.
	pageBytes = 4 << 10
)

var pages = sync.Pool{New: func() any { return new([pageBytes]byte) }}

// isSmall reports whether an answer announces a small body.
func isSmall(r *http.Response, limit int64) bool {
	n := r.ContentLength
	return n > 0 && n <= bufferedBytes && (limit < 0 || n <= limit) && r.Body != http.NoBody &&
		r.StatusCode != http.StatusSwitchingProtocols
}

// readBuffered replaces the answer's body by one in memory.
func (a *attempt) readBuffered(r *http.Response, stall time.Duration) error {
	watched := a.watch(stall)
	w := &a.small
	w.fill(int(r.ContentLength))
	n, err := 0, error(nil)
	for err == nil {
		p := w.left[n:]
		if len(p) == 0 {
			p = a.end1[:] // only the end is still expected
		}
		if watched {
			a.reading.Store(int64(time.Since(epoch)))
		}
		var got int
		got, err = r.Body.Read(p)
		n += got
	}
	a.reading.Store(0)
	if closed := r.Body.Close(); err == io.EOF && closed != nil {
		err = closed
	}
	if err == io.EOF && n < len(w.left) {
		err = io.ErrUnexpectedEOF
	}
	if err != io.EOF {
		_ = w.Close()
		return err
	}
	r.Body = w
	return nil
}

// bufferedBody is a body in memory. Its buffer is reused once the body is read or
// closed, so no part of it is passed on that outlives a call.
type bufferedBody struct {
	mu   sync.Mutex
	left []byte
	page *[pageBytes]byte // nil if the buffer is too large to be reused
	// closed is set once the body is closed. A Read after that is a mistake of the
	// caller, which must not look like an empty answer.
	closed bool
}

// fill gives a new body its buffer.
func (w *bufferedBody) fill(n int) {
	if n > pageBytes {
		w.left = make([]byte, n)
		return
	}
	w.page = pages.Get().(*[pageBytes]byte)
	w.left = w.page[:n]
}

// freeLocked returns the buffer for reuse.
func (w *bufferedBody) freeLocked() {
	w.left = nil
	if w.page != nil {
		pages.Put(w.page)
		w.page = nil
	}
}

// Read implements io.Reader.
func (w *bufferedBody) Read(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.closed:
		return 0, http.ErrBodyReadAfterClose
	case len(w.left) == 0:
		return 0, io.EOF
	}
	n := copy(p, w.left)
	w.left = w.left[n:]
	if len(w.left) == 0 {
		w.freeLocked()
		return n, io.EOF
	}
	return n, nil
}

// WriteTo writes the rest of the body. It owns the buffer while it runs.
func (w *bufferedBody) WriteTo(to io.Writer) (int64, error) {
	w.mu.Lock()
	left, page, closed := w.left, w.page, w.closed
	w.left, w.page = nil, nil
	w.mu.Unlock()
	if closed {
		return 0, http.ErrBodyReadAfterClose
	}
	if len(left) == 0 {
		return 0, nil
	}
	n, err := to.Write(left)
	w.mu.Lock()
	defer w.mu.Unlock()
	if n = min(max(n, 0), len(left)); n < len(left) {
		if err == nil {
			err = io.ErrShortWrite
		}
		w.left, w.page = left[n:], page
	} else if page != nil {
		pages.Put(page)
	}
	return int64(n), err
}

// Close ends the body. Its unread rest is lost.
func (w *bufferedBody) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	w.freeLocked()
	return nil
}
