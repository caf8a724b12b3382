package httpfault

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/backstay-go/backstay/chaos"
)

// Transport returns base with the plan's faults before, in and instead of its answers. A
// nil base stands for http.DefaultTransport.
func Transport(base http.RoundTripper, cfg Config) http.RoundTripper {
	if base == nil {
		base = http.DefaultTransport
	}
	return &transport{base: base, cfg: cfg}
}

type transport struct {
	base   http.RoundTripper
	cfg    Config
	quotas quotas
}

// CloseIdleConnections closes the idle connections of the base.
func (t *transport) CloseIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// RoundTrip makes one request.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	d := t.cfg.decide(r)
	if len(d.faults) == 0 {
		return t.base.RoundTrip(r)
	}
	course := d.course(&t.quotas)
	f, err := d.before(course.before)
	switch {
	case err != nil:
		closeBody(r)
		return nil, err
	case f != nil:
		closeBody(r)
		return d.refusal(*f, r)
	}
	resp, err := t.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	for _, f := range course.after {
		if d.injector.Over(f) {
			continue
		}
		// The server has carried the request out; the answer comes late, or not at all.
		d.report(f)
		err := d.wait(f, lasting(f))
		if err == nil && !lasts(f) && !d.ended(f) {
			_, err = d.refusal(f, r)
		}
		if err != nil {
			_ = resp.Body.Close()
			return nil, err
		}
	}
	if len(course.body) == 0 || !hasBody(r, resp.StatusCode) {
		return resp, nil
	}
	body, length := spoilBody(resp.Body, resp.ContentLength, d.damage(course.body))
	resp.Body = body
	if length != resp.ContentLength {
		resp.ContentLength = length
		resp.Header.Del("Content-Length")
		if length >= 0 {
			resp.Header.Set("Content-Length", strconv.FormatInt(length, 10))
		}
	}
	return resp, nil
}

// refusal returns what a fault gives instead of an answer of the server.
func (d decided) refusal(f chaos.Fault, r *http.Request) (*http.Response, error) {
	switch f.What.Kind {
	case chaos.Quota:
		return answer(r, f, status(f, http.StatusTooManyRequests)), nil
	case chaos.Status:
		return answer(r, f, status(f, http.StatusInternalServerError)), nil
	case chaos.RedirectLoop:
		resp := answer(r, f, status(f, http.StatusFound))
		resp.Header.Set("Location", r.URL.String())
		return resp, nil
	}
	err := f.Err(d.call)
	switch f.What.Kind {
	case chaos.Reset:
		err.Err = reset()
	case chaos.Refuse:
		err.Err = &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	case chaos.Drop:
		err.Err = io.EOF
	case chaos.TLSFailure:
		err.Err = &net.OpError{Op: "remote error", Err: tls.AlertError(handshakeFailure)}
	}
	return nil, err
}

// handshakeFailure is the alert of that name in TLS (RFC 8446, section 6.2).
const handshakeFailure = 40

// reset returns the error of a connection that is reset while an answer is read.
func reset() error {
	return &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
}

// hasBody reports whether an answer has a body that faults could act on. An answer that
// switches to another protocol has none.
func hasBody(r *http.Request, status int) bool {
	return r.Method != http.MethodHead && status >= http.StatusOK && status != http.StatusNoContent && status != http.StatusNotModified
}

// answer returns an answer as a server would give it: without a body where none is allowed.
func answer(r *http.Request, f chaos.Fault, status int) *http.Response {
	text := body(f)
	resp := &http.Response{
		Status: strconv.Itoa(status) + " " + http.StatusText(status), StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: http.NoBody, Request: r,
	}
	if hasBody(r, status) {
		resp.Body = io.NopCloser(strings.NewReader(text))
	}
	if status != http.StatusNoContent && status != http.StatusNotModified {
		resp.ContentLength = int64(len(text))
		resp.Header.Set("Content-Length", strconv.Itoa(len(text)))
		resp.Header.Set("Content-Type", "text/plain; charset=utf-8")
	}
	setHeaders(resp.Header, f)
	return resp
}

// closeBody closes the request's body, as every RoundTripper must.
func closeBody(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
}
