package httpfault

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
)

// wrapper is a ResponseWriter of this package. It has every method that the ResponseWriter
// of a server may have.
type wrapper interface {
	http.ResponseWriter
	http.Flusher
	http.Hijacker
	io.ReaderFrom
	Unwrap() http.ResponseWriter
}

// plain has the methods that every ResponseWriter of this package has.
type plain interface {
	http.ResponseWriter
	Unwrap() http.ResponseWriter
}

// expose hides the methods of a wrapper that the writer below it does not have, because
// servers and frameworks test whether a writer can flush, be hijacked (WebSockets) or read
// from a file.
func expose(w wrapper) http.ResponseWriter {
	below := w.Unwrap()
	_, flushes := has[http.Flusher](below)
	_, hijacks := has[http.Hijacker](below)
	_, reads := has[io.ReaderFrom](below)
	switch {
	case flushes && hijacks && reads:
		return w
	case flushes && hijacks:
		return struct {
			plain
			http.Flusher
			http.Hijacker
		}{w, w, w}
	case flushes && reads:
		return struct {
			plain
			http.Flusher
			io.ReaderFrom
		}{w, w, w}
	case hijacks && reads:
		return struct {
			plain
			http.Hijacker
			io.ReaderFrom
		}{w, w, w}
	case flushes:
		return struct {
			plain
			http.Flusher
		}{w, w}
	case hijacks:
		return struct {
			plain
			http.Hijacker
		}{w, w}
	case reads:
		return struct {
			plain
			io.ReaderFrom
		}{w, w}
	}
	return struct{ plain }{w}
}

// has finds a method of a writer, or of one that it wraps.
func has[T any](w http.ResponseWriter) (T, bool) {
	for {
		if t, ok := w.(T); ok {
			return t, true
		}
		below, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			var none T
			return none, false
		}
		w = below.Unwrap()
	}
}

// errLost is the error that a handler gets if a fault has ended the connection.
var errLost = errors.New("chaos: the connection is lost")

// Hijack hands the connection over after the waits. No fault acts on it from then on.
func (l *lateWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if l.hold() != "" {
		return nil, nil, errLost
	}
	conn, rw, err := http.NewResponseController(l.ResponseWriter).Hijack()
	l.hijacked = err == nil
	return conn, rw, err
}

// ReadFrom copies as the writer below does.
func (l *lateWriter) ReadFrom(r io.Reader) (int64, error) {
	if l.hold() != "" {
		return io.Copy(io.Discard, r)
	}
	return io.Copy(l.ResponseWriter, r)
}

// Hijack hands the connection over. There is then no body to damage, and no fault acts on
// the connection.
func (s *spoiled) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(s.ResponseWriter).Hijack()
	s.hijacked = err == nil
	return conn, rw, err
}

// ReadFrom copies through Write, which damages the bytes.
func (s *spoiled) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{s}, r)
}
