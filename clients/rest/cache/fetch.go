package cache

import (
	"bytes"
	"io"
	"net/http"
	"time"
)

// lookup is what is known of a request before the server is asked.
type lookup struct {
	key     string
	entry   *entry // what is kept and may be used, or nil
	want    directives
	forward string
}

// fetch asks the server, for a flight if there is one.
func (c *Cache) fetch(f *flight, l lookup, r *http.Request, next Next) (*http.Response, error) {
	defer c.land(f, flight{again: true}) // if next panics
	out, conditional := ask(r, l.entry)
	requestAt := c.now()
	resp, err := next(out)
	if err != nil {
		return c.failed(f, l, r, err)
	}
	now := c.now()
	if fails(resp.StatusCode) && l.entry != nil && c.staleIfError(l.entry, l.want, now) {
		_ = resp.Body.Close() // nobody needs it
		c.land(f, flight{failed: true})
		return answer(l.entry, r, now, Status{Hit: true, ForwardStatus: resp.StatusCode, Detail: "if-error"}), nil
	}
	resp.Request = r
	if conditional && resp.StatusCode == http.StatusNotModified {
		return c.revalidated(f, l, r, resp, requestAt, now), nil
	}
	s := Status{Forward: l.forward, ForwardStatus: resp.StatusCode}
	d := parse(resp.Header)
	if !c.keeps(r, resp, d) || resp.ContentLength > c.cfg.MaxEntry {
		if l.entry != nil && !fails(resp.StatusCode) {
			c.forget(l.entry)
		}
		c.land(f, flight{})
		s.write(resp.Header)
		return resp, nil
	}
	e := newEntry(l.key, r, resp, d, requestAt, now)
	s.Stored, s.TTL = true, e.lifetime-e.age
	if resp.ContentLength < 0 || resp.ContentLength > smallBody {
		c.land(f, flight{}) // who waits would wait for this one's reader
		s.write(resp.Header)
		resp.Body = &recorder{cache: c, inner: resp.Body, entry: e, requestAt: requestAt, response: resp}
		return resp, nil
	}
	if resp.Body != http.NoBody {
		body := make([]byte, resp.ContentLength)
		_, err := io.ReadFull(resp.Body, body)
		if closed := resp.Body.Close(); err == nil {
			err = closed
		}
		if err != nil {
			return c.failed(f, l, r, err)
		}
		resp.Body = io.NopCloser(bytes.NewReader(body))
		e.body = body
	}
	s.Stored = c.keep(e.with(e.body), requestAt)
	c.landWith(f, e, s.Stored, now)
	s.write(resp.Header)
	return resp, nil
}

// ask is the request that is sent: with the conditions that ask whether an entry is
// still good.
func ask(r *http.Request, e *entry) (out *http.Request, conditional bool) {
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

// failed is a fetch without an answer. The end of its own caller concerns nobody else.
func (c *Cache) failed(f *flight, l lookup, r *http.Request, err error) (*http.Response, error) {
	now := c.now()
	switch {
	case r.Context().Err() != nil:
		c.land(f, flight{again: true})
	case l.entry != nil && c.staleIfError(l.entry, l.want, now):
		c.land(f, flight{failed: true, err: err})
		return answer(l.entry, r, now, Status{Hit: true, Detail: "if-error"}), nil
	default:
		c.land(f, flight{failed: true, err: err})
	}
	return nil, err
}

// revalidated answers by the entry that the server said is still good.
func (c *Cache) revalidated(f *flight, l lookup, r *http.Request, resp *http.Response, requestAt, now time.Time) *http.Response {
	_ = resp.Body.Close() // a 304 has none
	e := l.entry.validated(resp.Header, requestAt, now)
	d := &e.directives
	stored := !d.private && (!d.noStore || c.over("no-store")) && (d.shared() || !c.credentialed(r)) && c.keep(e, requestAt)
	if !stored {
		c.forget(l.entry)
	}
	c.landWith(f, e, stored, now)
	return answer(e, r, now, Status{Forward: l.forward, ForwardStatus: resp.StatusCode, Stored: stored})
}

// recorder is a body that is kept once it has been read to its end.
type recorder struct {
	cache     *Cache
	inner     io.ReadCloser
	entry     *entry // nil: it is not kept after all
	requestAt time.Time
	response  *http.Response
	buffer    []byte
}

// Read reads, and keeps what was read.
func (b *recorder) Read(p []byte) (int, error) {
	n, err := b.inner.Read(p)
	if b.entry == nil {
		return n, err
	}
	if int64(len(b.buffer)+n) > b.cache.cfg.MaxEntry || err != nil && err != io.EOF {
		b.entry, b.buffer = nil, nil
		return n, err
	}
	b.buffer = append(b.buffer, p[:n]...)
	if err == io.EOF {
		if len(b.response.Trailer) == 0 {
			b.cache.keep(b.entry.with(b.buffer), b.requestAt)
		}
		b.entry, b.buffer = nil, nil
	}
	return n, err
}

// Close closes the body. What was not read to its end is not kept.
func (b *recorder) Close() error { return b.inner.Close() }

// readOut reads a body to its end, so that it is kept.
func readOut(r *http.Response) {
	_, _ = io.Copy(io.Discard, r.Body) // an error means that it is not
	_ = r.Body.Close()
}
