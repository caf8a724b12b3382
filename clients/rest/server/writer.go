package server

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"time"
)

// writer observes what a handler writes, and passes on the optional methods of the
// connection's writer.
type writer struct {
	http.ResponseWriter
	// status is zero until the header is written.
	status int
	// hijacked: the handler has hijacked the connection.
	hijacked bool
	// allRead: the whole body was read ahead. http1: the request came over HTTP/1.
	allRead, http1 bool
	// before, if not nil, is called before the header is written; taken, if not nil, when the
	// connection has been hijacked.
	before func(http.Header)
	taken  func()
	// limit ends writes that the caller does not read. Nil: nothing does.
	limit *writeLimit
}

// begin and end surround what may block until the caller reads.
func (w *writer) begin() {
	if w.limit != nil {
		w.limit.begin(w.ResponseWriter)
	}
}

func (w *writer) end() {
	if w.limit != nil {
		w.limit.end()
	}
}

// watch returns the writer for a handler. It implements http.Hijacker only where the
// protocol allows hijacking, so that handlers can rely on the type assertion.
func (w *writer) watch(r *http.Request) http.ResponseWriter {
	if w.http1 = r.ProtoMajor == 1; w.http1 {
		return hijackable{w}
	}
	return w
}

// Unwrap is for http.ResponseController.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// SetReadDeadline is for http.ResponseController. When nothing is left to read, it does
// nothing, because a deadline would only stop the detection of callers that go away.
func (w *writer) SetReadDeadline(t time.Time) error {
	if w.allRead {
		return nil
	}
	return http.NewResponseController(w.ResponseWriter).SetReadDeadline(t)
}

// header notes that the header is about to be written.
func (w *writer) header(status int) {
	if w.status != 0 || w.hijacked {
		return
	}
	w.status = status
	if status == http.StatusRequestEntityTooLarge && !w.allRead && w.http1 {
		// http.MaxBytesReader does this only with the standard server's own writer.
		w.Header().Set("Connection", "close")
	}
	if w.before != nil {
		w.before(w.Header())
	}
}

// finish notes the implicit header of a handler that wrote nothing.
func (w *writer) finish() { w.header(http.StatusOK) }

// WriteHeader implements http.ResponseWriter. Informational responses don't count.
func (w *writer) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		w.header(status)
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *writer) Write(p []byte) (int, error) {
	w.header(http.StatusOK)
	w.begin()
	defer w.end()
	return w.ResponseWriter.Write(p)
}

// WriteString implements io.StringWriter.
func (w *writer) WriteString(s string) (int, error) {
	w.header(http.StatusOK)
	w.begin()
	defer w.end()
	return io.WriteString(w.ResponseWriter, s)
}

// ReadFrom implements io.ReaderFrom, so that files can be sent with sendfile.
func (w *writer) ReadFrom(src io.Reader) (int64, error) {
	w.header(http.StatusOK)
	w.begin()
	defer w.end()
	if rf, ok := w.ResponseWriter.(io.ReaderFrom); ok {
		return rf.ReadFrom(src)
	}
	return io.Copy(struct{ io.Writer }{w.ResponseWriter}, src)
}

// Flush implements http.Flusher.
func (w *writer) Flush() { _ = w.FlushError() }

// FlushError is for http.ResponseController.
func (w *writer) FlushError() error {
	w.header(http.StatusOK)
	w.begin()
	defer w.end()
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// hijackable is the writer of a connection that can be hijacked.
type hijackable struct{ *writer }

// Hijack implements http.Hijacker.
func (w hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, buf, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		w.hijacked = true
		if w.taken != nil {
			w.taken()
		}
	}
	return c, buf, err
}
