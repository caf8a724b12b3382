package rest

import (
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"sync"
)

// gzipOnly is the value of a header, shared by all requests.
var gzipOnly = []string{"gzip"}

// asksForGzip asks for a compressed answer in the cases in which net/http would do so.
// net/http would allocate a map for this one header, while a connection of the pool
// already has space for it. asksForGzip reports whether it asked.
func (b *Base) asksForGzip(r *http.Request) bool {
	_, said := r.Header["Accept-Encoding"] // an empty one is left to net/http
	if said || b.template.DisableCompression || r.Method == http.MethodHead || r.Header.Get("Range") != "" {
		return false
	}
	r.Header["Accept-Encoding"] = gzipOnly
	return true
}

// unzip replaces a compressed answer by the one that the caller would have received
// without compression.
func unzip(r *http.Response) {
	if !strings.EqualFold(r.Header.Get("Content-Encoding"), "gzip") || r.ContentLength == 0 {
		return
	}
	r.Body = &unzipped{body: r.Body}
	r.Header.Del("Content-Encoding")
	r.Header.Del("Content-Length")
	r.ContentLength, r.Uncompressed = -1, true
}

var unzippers = sync.Pool{New: func() any { return new(gzip.Reader) }}

// unzipped is the decompressed form of a body.
type unzipped struct {
	body io.ReadCloser

	mu     sync.Mutex // held during a Read; closing the body ends the Read
	reader *gzip.Reader
	err    error // what each further Read returns
}

// Read implements io.Reader.
func (u *unzipped) Read(p []byte) (n int, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.err == nil && u.reader == nil {
		u.reader = unzippers.Get().(*gzip.Reader)
		u.err = u.reader.Reset(u.body)
	}
	if u.err == nil {
		n, u.err = u.reader.Read(p)
	}
	if err = u.err; err != nil {
		u.freeLocked()
	}
	return n, err
}

// Close implements io.Closer.
func (u *unzipped) Close() error {
	err := u.body.Close()
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.err == nil {
		u.err = http.ErrBodyReadAfterClose
	}
	u.freeLocked()
	return err
}

// freeLocked returns the reader to the pool, without a reference to this body.
func (u *unzipped) freeLocked() {
	if u.reader != nil {
		_ = u.reader.Reset(nothing{}) // io.EOF, because there is no header
		unzippers.Put(u.reader)
		u.reader = nil
	}
}

// nothing is an empty body. It is an io.ByteReader, so that gzip allocates no buffer for it.
type nothing struct{}

// Read implements io.Reader.
func (nothing) Read([]byte) (int, error) { return 0, io.EOF }

// ReadByte implements io.ByteReader.
func (nothing) ReadByte() (byte, error) { return 0, io.EOF }
