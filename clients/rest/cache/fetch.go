package cache

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

// lookup is what is known about a request before it is sent to the server.
type lookup struct {
	key     string
	entry   *entry // the stored response that may be used, or nil
	want    directives
	forward string
}

// fetch sends a request to the server. If f is not nil, fetch finishes it.
func (c *Cache) fetch(f *inflight, l lookup, r *http.Request, next Next) (*http.Response, error) {
	received := false // if true, the end of the body finishes f
	defer func() {
		if !received {
			c.finish(f, apart, nil, nil) // if next panics
		}
	}()
	ctx, cancel := context.WithCancel(r.Context())
	sent := c.now()
	resp, conditional, err := c.ask(unconditional(r.WithContext(ctx)), l.entry, next)
	if err != nil {
		cancel()
		return c.failed(f, l, r, err)
	}
	now := c.now()
	resp.Request = r
	if fails(resp.StatusCode) && l.entry != nil && c.staleIfError(l.entry, l.want, now) {
		_ = resp.Body.Close() // nobody needs it
		cancel()
		c.finish(f, failed, nil, nil)
		return answer(l.entry, r, now, Status{Hit: true, ForwardStatus: resp.StatusCode, Detail: "if-error"}), nil
	}
	if conditional && resp.StatusCode == http.StatusNotModified {
		defer cancel()
		return c.revalidated(f, l, r, resp, sent), nil
	}
	s := Status{Forward: l.forward, ForwardStatus: resp.StatusCode}
	d := directivesOf(resp.Header, resp.StatusCode)
	if !c.keeps(r, resp, d) || resp.ContentLength > c.cfg.MaxEntry {
		if l.entry != nil && !fails(resp.StatusCode) {
			c.forget(l.entry)
		}
		o := unshared
		if resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests {
			o = apart // the next response may be shareable
		}
		c.finish(f, o, nil, nil)
		s.write(resp.Header)
		resp.Body = endsWith(resp.Body, cancel)
		return resp, nil
	}
	e := newEntry(l.key, r, resp, d, sent, now)
	s.TTL = e.lifetime - e.age
	if resp.ContentLength < 0 || resp.ContentLength > smallBody {
		received = true
		c.receive(f, e, sent, resp, cancel)
		s.write(resp.Header)
		return resp, nil
	}
	defer cancel()
	body, err := readSmall(resp)
	if err != nil {
		return c.failed(f, l, r, err)
	}
	e.with(body)
	s.Stored = c.keep(e)
	c.finishWith(f, e, s.Stored)
	s.write(resp.Header)
	return resp, nil
}

// ask sends a request, with conditions if there is an entry to validate. If the response
// confirms another version than the stored one, the request is sent again without
// conditions (RFC 9111, section 4.3.4).
func (c *Cache) ask(r *http.Request, e *entry, next Next) (resp *http.Response, conditional bool, err error) {
	out, conditional := conditions(r, e)
	resp, err = next(out)
	if err != nil || !conditional || resp.StatusCode != http.StatusNotModified || confirms(resp.Header, e) {
		return resp, conditional, err
	}
	_ = resp.Body.Close() // a 304 has none
	c.forget(e)
	resp, err = next(r)
	return resp, false, err
}

// confirms says whether a 304 is about the stored version.
func confirms(h http.Header, e *entry) bool {
	tag, own := h.Get("Etag"), e.header.Get("Etag")
	return tag == "" || own == "" || sameTag(tag, own)
}

// readSmall reads a body whose length is known and small.
func readSmall(resp *http.Response) ([]byte, error) {
	if resp.Body == http.NoBody {
		return nil, nil
	}
	body := make([]byte, resp.ContentLength)
	_, err := io.ReadFull(resp.Body, body)
	closed := resp.Body.Close()
	if err == nil {
		err = closed
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return body, err
}

// conditions adds the conditions that validate an entry, and reports whether it did.
func conditions(r *http.Request, e *entry) (out *http.Request, conditional bool) {
	if e == nil {
		return r, false
	}
	tag, modified := e.header.Get("Etag"), e.header.Get("Last-Modified")
	if tag == "" && modified == "" {
		return r, false
	}
	out = r.WithContext(r.Context())
	out.Header = r.Header.Clone()
	if out.Header == nil {
		out.Header = http.Header{}
	}
	if tag != "" {
		out.Header.Set("If-None-Match", tag)
	}
	if modified != "" {
		out.Header.Set("If-Modified-Since", modified)
	}
	return out, true
}

// failed ends a fetch that got no response, and serves a stale one if that is allowed.
func (c *Cache) failed(f *inflight, l lookup, r *http.Request, err error) (*http.Response, error) {
	c.finish(f, c.outcomeOf(r, err), nil, err)
	return c.orStale(l, r, err)
}

// orStale answers a request that got no response with a stale one if that is allowed. A
// caller that has cancelled, or whose request can't be sent, gets its error: the server
// has not failed. A caller whose deadline has passed may still use a stale response.
func (c *Cache) orStale(l lookup, r *http.Request, err error) (*http.Response, error) {
	now := c.now()
	ofCaller := errors.Is(r.Context().Err(), context.Canceled) || isCallers(err)
	if !ofCaller && l.entry != nil && c.staleIfError(l.entry, l.want, now) {
		return answer(l.entry, r, now, Status{Hit: true, Detail: "if-error"}), nil
	}
	return nil, err
}

// isCallers reports whether an error is about this request alone: its guard has judged
// that it says nothing about the server.
func isCallers(err error) bool {
	var judged resilience.Judged
	return errors.As(err, &judged) && judged.Verdict().Outcome == resilience.Ignored && !errors.Is(err, context.DeadlineExceeded)
}

// revalidated answers from the entry that the server has confirmed.
func (c *Cache) revalidated(f *inflight, l lookup, r *http.Request, resp *http.Response, sent time.Time) *http.Response {
	_ = resp.Body.Close() // a 304 has none
	now := c.now()
	e := l.entry.validated(resp.Header, sent, now)
	d := &e.directives
	stored := !d.private && (!d.noStore || c.over("no-store")) && (d.shared() || !c.credentialed(r)) && c.keep(e)
	if !stored {
		c.forget(l.entry)
	}
	c.finishWith(f, e, stored)
	return answer(e, r, now, Status{Forward: l.forward, ForwardStatus: resp.StatusCode, Stored: stored})
}

// endsWith cancels a request's context when its body is closed.
func endsWith(body io.ReadCloser, cancel context.CancelFunc) io.ReadCloser {
	if body == http.NoBody {
		cancel()
		return body
	}
	return &endingBody{body, cancel}
}

type endingBody struct {
	io.ReadCloser
	cancel context.CancelFunc
}

// Close implements io.Closer.
func (b *endingBody) Close() error {
	err := b.ReadCloser.Close()
	b.cancel()
	return err
}

// readOut reads a body to its end, so that it is stored.
func readOut(r *http.Response) {
	_, _ = io.Copy(io.Discard, r.Body) // after an error it is not stored
	_ = r.Body.Close()
}
