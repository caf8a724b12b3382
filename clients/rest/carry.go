package rest

import (
	"io"
	"net/http"
	"sync/atomic"

	"github.com/backstay-go/backstay/clients/rest/internal/h1"
)

// carries reports whether requests like this one use the pool. It must be called before
// anything of the request is consumed.
func (b *Base) carries(r *http.Request, a *attempt) bool {
	t := b.template
	if b.pool == nil || r.URL.Scheme != "http" || !isASCII(r.URL.Host) {
		return false
	}
	//lint:ignore SA1019 http.Client sets it for its Timeout
	if r.Cancel != nil {
		return false // a ClientConn leaves a goroutine behind that waits for the cancellation
	}
	if limit := t.ResponseHeaderTimeout; limit > 0 && (a.left == 0 || a.left > limit) {
		return false // the attempt's own deadline does not bound it
	}
	if t.Proxy != nil {
		if proxy, err := t.Proxy(r); err != nil || proxy != nil {
			return false
		}
	}
	return true
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// carry sends a request of an attempt on a connection of the pool. If the connection
// has died while it was idle, and nothing was written, another one is used.
func (b *Base) carry(r *http.Request, a *attempt) (*http.Response, error) {
	for tries := 1; ; tries++ {
		c, err := b.pool.Take(a, r.URL)
		if err != nil {
			_, waited := err.(*h1.WaitError)
			a.waited.Store(waited)
			closeBody(r)
			return nil, a.causeOf(err)
		}
		c.Begin()
		if !a.hold(c) {
			closeBody(r)
			c.Give()
			return nil, a.Cause()
		}
		a.gotPooled(c)
		a.mark(r, c.Header())
		// An earlier connection may have filled the same header.
		a.unzips = b.asksForGzip(r) || a.unzips
		resp, err := c.RoundTrip(r)
		if err == nil {
			return a.carried(resp, c), nil
		}
		sent := c.Sent()
		a.sent.Store(sent)
		if a.drop() {
			c.Close()
		}
		if cause := a.Cause(); cause != nil {
			closeBody(r)
			return nil, cause
		}
		if sent || !c.Used() || tries == maxUnsent || !rewind(r) {
			closeBody(r)
			return nil, err
		}
	}
}

// carried prepares an answer whose connection returns to the pool at the end of the body.
func (a *attempt) carried(resp *http.Response, c *h1.Conn) *http.Response {
	switch {
	case resp.StatusCode == http.StatusSwitchingProtocols:
		// From here on the connection belongs to the code that reads the answer.
		if a.drop() {
			c.Detach()
		}
	case resp.Body == http.NoBody:
		a.finish(c)
	default:
		a.body.ReadCloser, a.body.attempt, a.body.conn = resp.Body, a, c
		resp.Body = &a.body
		if a.unzips {
			unzip(resp)
		}
	}
	return resp
}

// finish returns a connection to the pool, unless the attempt's end has closed it.
func (a *attempt) finish(c *h1.Conn) {
	if a.drop() {
		c.Give()
	}
}

// pooledBody is a body that releases its connection at its end.
type pooledBody struct {
	io.ReadCloser
	attempt *attempt
	conn    *h1.Conn
	over    atomic.Bool
}

// Read implements io.Reader.
func (b *pooledBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == nil {
		return n, nil
	}
	if err != io.EOF {
		err = b.attempt.causeOf(err)
	}
	b.finish()
	return n, err
}

// Close closes the body. If the body was not read to its end, Close also closes the
// connection.
func (b *pooledBody) Close() error {
	err := b.ReadCloser.Close()
	b.finish()
	return err
}

func (b *pooledBody) finish() {
	if !b.over.Swap(true) {
		b.attempt.finish(b.conn)
	}
}
