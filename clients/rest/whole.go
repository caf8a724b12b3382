package rest

import (
	"bytes"
	"io"
	"net/http"
	"time"
)

// wholeBytes is the largest answer that is read within its attempt. Then an answer
// that breaks off is a failed attempt, which may be repeated, and neither a permit nor
// a connection waits for the caller to read.
const wholeBytes = 16 << 10

// isSmall says whether an answer says that it is small.
func isSmall(r *http.Response, limit int64) bool {
	n := r.ContentLength
	return n > 0 && n <= wholeBytes && (limit < 0 || n <= limit) && r.Body != nil && r.Body != http.NoBody &&
		r.StatusCode != http.StatusSwitchingProtocols
}

// readWhole replaces the answer's body by one in memory.
func (a *attempt) readWhole(r *http.Response, stall time.Duration) error {
	watched := a.watch(stall)
	w := &whole{bytes: make([]byte, r.ContentLength)}
	n, err := 0, error(nil)
	for err == nil {
		p := w.bytes[n:]
		if len(p) == 0 {
			p = a.end1[:] // what is left to come is the end
		}
		if watched {
			a.reading.Store(int64(time.Since(epoch)))
		}
		var got int
		got, err = r.Body.Read(p)
		n += got
	}
	a.reading.Store(0)
	closed := r.Body.Close()
	if err != io.EOF {
		return err
	}
	if closed != nil {
		return closed
	}
	w.Reset(w.bytes)
	r.Body = w
	return nil
}

// whole is a body in memory.
type whole struct {
	bytes.Reader
	bytes []byte
}

// Close makes further reads fail, as those of net/http do.
func (w *whole) Close() error {
	w.Reset(nil)
	w.bytes = nil
	return nil
}
