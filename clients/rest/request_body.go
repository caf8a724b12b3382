package rest

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// errBodyUsed means that the body is a stream that an earlier attempt has already read.
var errBodyUsed = errors.New("the body can't be sent again: set Request.GetBody")

// upload is what an attempt observed of its request's body. Errors and waits that come
// from the body are the caller's responsibility and say nothing about the dependency.
// Safe for concurrent use.
type upload struct {
	first  sentBody
	length int64          // the request's Content-Length; below zero if unknown
	single *singleUseBody // nil if the body can be obtained again
	again  func() (io.ReadCloser, error)

	// reading is when the Read that is in progress began, as an offset from epoch; 0 if
	// none is.
	reading atomic.Int64
	// waited is the total time of the Reads that have ended.
	waited atomic.Int64
	// cut is the duration of a Read that ended because net/http closed the body; 0 if
	// none did.
	cut atomic.Int64
	// failed is set if a Read failed, or if the length was not the announced one.
	failed atomic.Bool
}

// watch puts an upload between a request and its body.
func (u *upload) watch(out *http.Request, single *singleUseBody) error {
	if out.Body == nil || out.Body == http.NoBody {
		return nil
	}
	u.length, u.single, u.again = out.ContentLength, single, out.GetBody
	if u.length == 0 {
		u.length = -1
	}
	u.first = sentBody{ReadCloser: out.Body, upload: u}
	if single != nil && !single.give(&u.first) {
		return errBodyUsed
	}
	out.Body, out.GetBody = &u.first, u.getBody
	return nil
}

// getBody is GetBody for net/http.
func (u *upload) getBody() (io.ReadCloser, error) {
	if u.single != nil {
		u.single.sendAgain()
		return &u.first, nil
	}
	body, err := u.again()
	if err != nil {
		return nil, err
	}
	return &sentBody{ReadCloser: body, upload: u}, nil
}

// callerTime returns how long the body has kept the attempt waiting until now.
func (u *upload) callerTime() time.Duration {
	waited := time.Duration(u.waited.Load())
	if since := u.reading.Load(); since != 0 {
		waited += time.Since(epoch) - time.Duration(since)
	}
	return waited
}

// isCallers reports whether an attempt failed because of its request's body: the body broke
// off, or the attempt was waiting for its next bytes and had waited for half of its time.
// If the attempt timed out, it is enough that bytes were missing, or that all waits for
// bytes together took half of its time.
func (u *upload) isCallers(began time.Time, timedOut bool) bool {
	pending, half := u.pending(), time.Since(began)/2
	switch {
	case u.failed.Load():
		return true
	case timedOut && pending > 0:
		return true
	case timedOut:
		waited := u.callerTime()
		return waited > 0 && waited >= half
	}
	return pending > 0 && pending >= half
}

// pending returns for how long the attempt has been waiting for the next bytes; 0 if it
// is not.
func (u *upload) pending() time.Duration {
	if since := u.reading.Load(); since != 0 {
		return max(1, time.Since(epoch)-time.Duration(since))
	}
	return time.Duration(u.cut.Load())
}

// sentBody is a request's body as net/http reads it.
type sentBody struct {
	io.ReadCloser
	upload *upload
	got    int64
	closed atomic.Bool
}

// Read implements io.Reader. It records how long it took and whether it failed.
func (b *sentBody) Read(p []byte) (int, error) {
	u := b.upload
	if u.single != nil && !u.single.begin(b) {
		return 0, errBodyUsed
	}
	began := time.Since(epoch)
	u.reading.Store(int64(began))
	n, err := b.ReadCloser.Read(p)
	took := int64(time.Since(epoch) - began)
	closed := b.closed.Load()
	if closed && err != nil {
		u.cut.Store(took)
	}
	u.reading.Store(0)
	u.waited.Add(took)
	b.got += int64(n)
	switch {
	case closed: // net/http has closed the body
	case err != nil && err != io.EOF,
		err == io.EOF && u.length >= 0 && b.got != u.length,
		u.length >= 0 && b.got > u.length:
		u.failed.Store(true)
	}
	return n, err
}

// Close closes the body. A body that can't be obtained again stays open while it is
// unread and another connection may need it.
func (b *sentBody) Close() error {
	b.closed.Store(true)
	if s := b.upload.single; s != nil {
		return s.close()
	}
	return b.ReadCloser.Close()
}

// singleUseBody is a body that can't be obtained again. While it is unread, it stays
// open for another connection or another attempt. That is necessary because net/http
// also closes a body if a connection turns out to be unusable before anything of the
// request was sent, for example if an HTTP/2 server sends GOAWAY at that moment. Safe
// for concurrent use.
type singleUseBody struct {
	inner io.Closer

	mu    sync.Mutex
	owner *sentBody
	// read is set once the body was read. spoilt is set if it must be sent again
	// although it was read. asked is set once somebody wanted to close it. settled is
	// set once no other attempt can follow.
	read, spoilt, asked, settled, closed bool
}

// give gives the body to an attempt, unless it was read.
func (s *singleUseBody) give(to *sentBody) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.owner = to
	return !s.read
}

// begin allows the owner of the body to read it.
func (s *singleUseBody) begin(by *sentBody) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.owner != by || s.spoilt {
		return false
	}
	s.read = true
	return true
}

// sendAgain is called by net/http when it is about to send the request again. If the
// body was read, the guard must decide about that, and an error from here would hide
// the reason. So sendAgain only records it; gotConn notices it and ends the attempt.
func (s *singleUseBody) sendAgain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spoilt = s.spoilt || s.read
}

// isUnread reports whether the body can still be sent.
func (s *singleUseBody) isUnread() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.read
}

func (s *singleUseBody) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = true
	return s.closeLocked()
}

// settle states that no other attempt will need the body.
func (s *singleUseBody) settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settled = true
	_ = s.closeLocked() // as closeBody does
}

func (s *singleUseBody) closeLocked() error {
	if !s.asked || s.closed || !s.settled && !s.read {
		return nil
	}
	s.closed = true
	return s.inner.Close()
}

// rewind makes a request's body readable from its start.
func rewind(r *http.Request) bool {
	if b, ok := r.Body.(*sentBody); ok && b.upload.single != nil {
		b.closed.Store(false)
		return b.upload.single.isUnread()
	}
	if r.Body == nil || r.Body == http.NoBody {
		return true
	}
	body, err := r.GetBody()
	if err == nil {
		closeBody(r)
		r.Body = body
	}
	return err == nil
}
