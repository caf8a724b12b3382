package cache

import (
	"context"
	"io"
	"net/http"
	"runtime"
	"sync"
	"time"
)

// restTime is how long Close waits for the rest of a body, so that it can be kept: readers
// of JSON, for example, stop before they have seen the end of the body.
const restTime = 50 * time.Millisecond

// transfer is a response body that is being received, for the caller that fetched it and
// for the cache. It is read at the pace of that caller, unless other requests wait for it:
// then a goroutine reads ahead, up to the size of the largest body that is stored.
type transfer struct {
	cache    *Cache
	inflight *inflight // nil: no request can wait for it
	entry    *entry
	sent     time.Time
	response *http.Response
	inner    io.ReadCloser
	cancel   context.CancelFunc // ends the request, and with it a blocked Read

	mu sync.Mutex
	// moved is closed and replaced at each change.
	moved chan struct{}
	// buffer holds what was read from the beginning of the body. If the body is too large to
	// be stored, it holds only what the caller has not read yet.
	buffer []byte
	large  bool
	// reading: a Read is under way. pulling: the goroutine that reads ahead is running.
	reading, pulling bool
	// closed: the caller has closed the body. rest counts the bytes read since then.
	closed bool
	rest   int
	err    error // what ended the body
}

// receive replaces a response's body by one that is stored when it has been read to its end.
func (c *Cache) receive(f *inflight, e *entry, sent time.Time, resp *http.Response, cancel context.CancelFunc) {
	t := &transfer{cache: c, inflight: f, entry: e, sent: sent, response: resp, inner: resp.Body, cancel: cancel, moved: make(chan struct{})}
	b := &transferBody{t: t}
	b.cleanup = runtime.AddCleanup(b, (*transfer).abandon, t)
	resp.Body = b
	c.receives(f, t)
}

// transferBody is the body that the caller gets. If it is garbage collected without having
// been closed, its transfer ends.
type transferBody struct {
	t       *transfer
	at      int // in the buffer; t's lock guards it
	cleanup runtime.Cleanup
}

// Read implements io.Reader.
func (b *transferBody) Read(p []byte) (int, error) {
	t := b.t
	t.mu.Lock()
	defer t.mu.Unlock()
	for {
		switch {
		case t.closed:
			return 0, http.ErrBodyReadAfterClose
		case b.at < len(t.buffer):
			n := copy(p, t.buffer[b.at:])
			if b.at += n; t.large && b.at == len(t.buffer) {
				t.buffer, b.at = nil, 0
			}
			return n, nil
		case t.err != nil:
			return 0, t.err
		case len(p) == 0:
			return 0, nil
		case t.reading:
			t.waitLocked()
		default:
			n, err := t.readLocked(p)
			if t.large {
				t.buffer, b.at = nil, 0
			} else {
				b.at += n
			}
			return n, err
		}
	}
}

// Close implements io.Closer. The body is still stored if its rest arrives within restTime,
// or if other requests wait for it.
func (b *transferBody) Close() error {
	t := b.t
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return nil
	}
	t.closed = true
	b.cleanup.Stop()
	pulling := t.pulling
	ended := t.err != nil || t.large
	t.mu.Unlock()
	if ended && !pulling {
		return t.close()
	}
	t.pull()
	t.settle(restTime)
	if !t.cache.awaited(t.inflight) {
		t.cancel()
	}
	return nil // the goroutine that reads ahead closes the body
}

// close ends a transfer that no goroutine reads any more.
func (t *transfer) close() error {
	t.cache.finish(t.inflight, apart, nil, nil) // does nothing if it has finished otherwise
	err := t.inner.Close()
	t.cancel()
	return err
}

// abandon ends the transfer of a body that was not closed.
func (t *transfer) abandon() {
	t.cache.finish(t.inflight, apart, nil, nil)
	t.cancel()
}

// pull starts the goroutine that reads ahead. It ends at the end of the body, when the body
// turns out too large, and when neither the caller nor another request wants it any more.
func (t *transfer) pull() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pulling || !t.closed && (t.err != nil || t.large) {
		return
	}
	t.pulling = true
	go t.run()
}

func (t *transfer) run() {
	chunk := make([]byte, 32<<10)
	t.mu.Lock()
	for t.err == nil && !t.large {
		if t.reading {
			t.waitLocked()
			continue
		}
		if t.closed && t.rest >= smallBody && !t.cache.awaited(t.inflight) {
			break
		}
		n, _ := t.readLocked(chunk)
		if t.closed {
			t.rest += n
		}
	}
	if t.closed {
		t.mu.Unlock()
		_ = t.close() // nobody gets the error: the caller's Close may have returned
		t.mu.Lock()
	}
	t.pulling = false
	t.signalLocked()
	t.mu.Unlock()
}

// settle waits until the goroutine that reads ahead has ended, for at most d.
func (t *transfer) settle(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.pulling {
		moved := t.moved
		t.mu.Unlock()
		select {
		case <-moved:
			t.mu.Lock()
		case <-timer.C:
			t.mu.Lock()
			return
		}
	}
}

// waitLocked waits for a change.
func (t *transfer) waitLocked() {
	moved := t.moved
	t.mu.Unlock()
	<-moved
	t.mu.Lock()
}

func (t *transfer) signalLocked() {
	close(t.moved)
	t.moved = make(chan struct{})
}

// readLocked reads a piece, without the lock, and adds it to the buffer.
func (t *transfer) readLocked(p []byte) (n int, err error) {
	t.reading = true
	err = io.ErrUnexpectedEOF // if Read panics
	t.mu.Unlock()
	defer func() {
		t.mu.Lock()
		t.reading = false
		t.takeLocked(p[:n], err)
		t.signalLocked()
	}()
	n, err = t.inner.Read(p)
	return n, err
}

// takeLocked adds the result of a Read. At the end of the body it stores the entry and
// finishes the fetch.
func (t *transfer) takeLocked(p []byte, err error) {
	if !t.large { // otherwise the caller has it already
		t.buffer = append(t.buffer, p...)
	}
	if !t.large && int64(len(t.buffer)) > t.cache.cfg.MaxEntry {
		t.large = true
		t.cache.finish(t.inflight, unshared, nil, nil)
	}
	if err == nil {
		return
	}
	t.err = err
	switch {
	case t.large:
	case err == io.EOF && len(t.response.Trailer) == 0:
		e := t.entry.with(t.buffer[:len(t.buffer):len(t.buffer)])
		t.cache.finishWith(t.inflight, e, t.cache.keep(e))
	case err == io.EOF:
		t.cache.finish(t.inflight, unshared, nil, nil)
	default:
		t.cache.finish(t.inflight, apart, nil, nil)
	}
}
