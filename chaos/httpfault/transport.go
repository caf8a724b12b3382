package httpfault

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"syscall"

	"github.com/backstay-go/backstay/chaos"
)

// Transport is base with the plan's faults before, in and instead of its answers. A
// nil base is http.DefaultTransport.
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

// CloseIdleConnections closes those of the base.
func (t *transport) CloseIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// RoundTrip is one request.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	d := t.cfg.decide(r)
	if len(d.faults) == 0 {
		return t.base.RoundTrip(r)
	}
	var spoil, late []chaos.Fault
	for _, f := range d.faults {
		switch f.What.Kind {
		case chaos.Latency, chaos.Hang:
			d.tell(f)
			if after(f) {
				late = append(late, f)
				continue
			}
			if err := d.wait(f, lasting(f)); err != nil {
				closeBody(r)
				return nil, err
			}
		case chaos.SlowBody, chaos.Truncate, chaos.Corrupt, chaos.WrongLength, chaos.EndlessBody:
			if len(spoil) == 0 {
				d.tell(f)
				spoil = append(spoil, f)
			}
		default:
			if after(f) {
				d.tell(f)
				late = append(late, f)
				continue
			}
			resp, err, applied := t.instead(d, f, r)
			if applied {
				closeBody(r)
				return resp, err
			}
		}
	}
	resp, err := t.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	for _, f := range late {
		// The server has carried it out; the answer comes late, or not at all.
		err := f.Err(d.call)
		switch f.What.Kind {
		case chaos.Reset:
			err.Err = reset()
		case chaos.Drop:
			err.Err = io.EOF
		default:
			if err := d.wait(f, lasting(f)); err != nil {
				_ = resp.Body.Close()
				return nil, err
			}
			continue
		}
		_ = resp.Body.Close()
		return nil, err
	}
	for _, f := range spoil {
		resp.Body = &spoiledBody{body: resp.Body, damage: &damage{decided: d, fault: f}}
		resp.ContentLength = -1
		resp.Header.Del("Content-Length")
	}
	return resp, nil
}

// instead is what a fault gives instead of a request.
func (t *transport) instead(d decided, f chaos.Fault, r *http.Request) (*http.Response, error, bool) {
	switch f.What.Kind {
	case chaos.Quota:
		if !t.quotas.over(f) {
			return nil, nil, false
		}
		d.tell(f)
		return answer(r, f, status(f, http.StatusTooManyRequests)), nil, true
	case chaos.Status:
		d.tell(f)
		return answer(r, f, status(f, http.StatusInternalServerError)), nil, true
	case chaos.RedirectLoop:
		d.tell(f)
		resp := answer(r, f, status(f, http.StatusFound))
		resp.Header.Set("Location", r.URL.String())
		return resp, nil, true
	}
	err := f.Err(d.call)
	switch f.What.Kind {
	case chaos.Error:
	case chaos.Reset:
		err.Err = reset()
	case chaos.Refuse:
		err.Err = fmt.Errorf("dial tcp: %w", syscall.ECONNREFUSED)
	case chaos.Drop:
		err.Err = io.EOF
	case chaos.TLSFailure:
		err.Err = fmt.Errorf("remote error: tls: handshake failure")
	default:
		return nil, nil, false
	}
	d.tell(f)
	return nil, err, true
}

func reset() error { return fmt.Errorf("read tcp: %w", syscall.ECONNRESET) }

func answer(r *http.Request, f chaos.Fault, status int) *http.Response {
	text := body(f)
	resp := &http.Response{
		Status: strconv.Itoa(status) + " " + http.StatusText(status), StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"text/plain; charset=utf-8"}}, Body: io.NopCloser(strings.NewReader(text)), ContentLength: int64(len(text)), Request: r,
	}
	headers(resp.Header, f)
	return resp
}

// closeBody is what a RoundTripper owes its request.
func closeBody(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
}
