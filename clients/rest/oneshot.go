package rest

import (
	"io"
	"net/http"
	"sync"
	"sync/atomic"
)

// oneShot is a body that can't be got again. As long as it was not read, it stays open
// for another connection: net/http closes a body also where a connection turns out to
// be of no use before anything of the request was sent, as when an HTTP/2 server says
// goodbye in that moment.
type oneShot struct {
	io.ReadCloser
	// read: it was. spoilt: and yet is to be sent again.
	read, spoilt atomic.Bool

	mu sync.Mutex
	// asked: to be closed. settled: there will be no other connection. closed: it is.
	asked, settled, closed bool
}

// newOneShot puts itself in the place of a request's body, until it is settled.
func newOneShot(r *http.Request) *oneShot {
	o := &oneShot{ReadCloser: r.Body}
	r.Body, r.GetBody = o, o.again
	return o
}

// again is GetBody. If the body was read, net/http is about to send a request again
// that it has sent. That is the guard's to decide, and an error here would hide why:
// gotConn sees it and ends the attempt.
func (o *oneShot) again() (io.ReadCloser, error) {
	if o.read.Load() {
		o.spoilt.Store(true)
	}
	return o, nil
}

// Read reads.
func (o *oneShot) Read(p []byte) (int, error) {
	if o.spoilt.Load() {
		return 0, errOneShot
	}
	o.read.Store(true)
	return o.ReadCloser.Read(p)
}

// Close closes the body once it is not needed any more.
func (o *oneShot) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked = true
	return o.closeLocked()
}

// settle says that no other connection will need the body.
func (o *oneShot) settle() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.settled = true
	_ = o.closeLocked() // as closeBody does
}

func (o *oneShot) closeLocked() error {
	if !o.asked || o.closed || !o.settled && !o.read.Load() {
		return nil
	}
	o.closed = true
	return o.ReadCloser.Close()
}

// again makes a request's body readable from its start.
func again(r *http.Request) bool {
	if once, ok := r.Body.(*oneShot); ok {
		return !once.read.Load()
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
