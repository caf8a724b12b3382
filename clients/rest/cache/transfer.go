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

// transfer is the body of an answer on its way: to the caller that fetched it, and into
// the cache. It is read at the pace of that caller, unless others wait for it: then a
// goroutine reads ahead, up to the largest body that is kept.
type transfer struct {
	cache    *Cache
	inflight *inflight // nil: nobody can wait for it
	entry    *entry
	sent     time.Time
	response *http.Response
	inner    io.ReadCloser
	cancel   context.CancelFunc // ends the request, and so a Read

	mu sync.Mutex
	// moved is closed at each change, and made anew.
	moved chan struct{}
	// buffer is what was read: from the body's beginning, or if it is too large to be
	// kept, what the caller has not had.
	buffer []byte
	large  bool
	// reading: a Read is under way. pulling: a goroutine reads ahead.
	reading, pulling bool
	// closed: the caller wants no more; rest is what was read since.
	closed bool
	rest   int
	err    error // what ended the body
}

// receive makes an answer's body one that is kept once it has been read to its end.
func (c *Cache) receive(f *inflight, e *entry, sent time.Time, resp *http.Response, cancel context.CancelFunc) {
	t := &transfer{cache: c, inflight: f, entry: e, sent: sent, response: resp, inner: resp.Body, cancel: cancel, moved: make(chan struct{})}
	b := &transferBody{t: t}
	b.cleanup = runtime.AddCleanup(b, (*transfer).abandon, t)
	resp.Body = b
	c.receives(f, t)
}

// transferBody is the body as the caller has it. A forgotten one ends its transfer.
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

// Close implements io.Closer. The rest of the body is still kept if it comes at once, or if
// others wait for it.
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
	return nil // the goroutine that reads closes the body
}

// close ends a transfer that nobody reads any more.
func (t *transfer) close() error {
	t.cache.finish(t.inflight, apart, nil, nil) // unless it has ended otherwise
	err := t.inner.Close()
	t.cancel()
	return err
}

// abandon ends the transfer of a body that was never closed.
func (t *transfer) abandon() {
	t.cache.finish(t.inflight, apart, nil, nil)
	t.cancel()
}

// pull reads ahead on a goroutine, which ends with the body, when the body proves to be
// too large, and when neither its caller nor others want it.
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
		_ = t.close() // its caller may have gone, and nobody else asks
		t.mu.Lock()
	}
	t.pulling = false
	t.signalLocked()
	t.mu.Unlock()
}

// settle waits until the goroutine that reads ahead has ended, for a while.
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

// takeLocked adds what a Read brought. At the body's end the entry is kept, and those who
// wait for it have it.
func (t *transfer) takeLocked(p []byte, err error) {
	if !t.large { // otherwise its caller has it
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
