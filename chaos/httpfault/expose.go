package httpfault

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
)

// wrapper is a ResponseWriter of this package, with every method that a server's may have.
type wrapper interface {
	http.ResponseWriter
	http.Flusher
	http.Hijacker
	io.ReaderFrom
	Unwrap() http.ResponseWriter
}

// plain is what every ResponseWriter of this package has.
type plain interface {
	http.ResponseWriter
	Unwrap() http.ResponseWriter
}

// expose shows of a wrapper what the writer below it has as well, because servers and
// frameworks ask whether a writer can flush, be hijacked (WebSockets) or read from a file.
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

// errLost is what a handler gets for a connection that a fault has ended.
var errLost = errors.New("chaos: the connection is lost")

// Hijack gives the connection away after the waits; what passes on it then is left alone.
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

// Hijack gives the connection away: there is no body to damage. What passes on it is left
// alone.
func (s *spoiled) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(s.ResponseWriter).Hijack()
	s.hijacked = err == nil
	return conn, rw, err
}

// ReadFrom copies through Write, which damages.
func (s *spoiled) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{s}, r)
}
