package server

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"time"
)

// writer watches what a handler answers, and passes on what the connection can do.
type writer struct {
	http.ResponseWriter
	// status is zero until the header is written.
	status int
	// hijacked: the handler has taken the connection over.
	hijacked bool
	// allRead: the whole body was read ahead. http1: the request came by HTTP/1.
	allRead, http1 bool
	// before is called before the header is written; taken when the connection was
	// taken over. Nil: nothing is.
	before func(http.Header)
	taken  func()
	// limit ends writes that nobody reads. Nil: nothing does.
	limit *writeLimit
}

// begin and end stand around what may block until the caller reads.
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

// watch returns the writer for a handler: one that can be hijacked only where the
// protocol allows it, so that handlers who ask for the interface get a true answer.
func (w *writer) watch(r *http.Request) http.ResponseWriter {
	if w.http1 = r.ProtoMajor == 1; w.http1 {
		return hijackable{w}
	}
	return w
}

// Unwrap is for http.ResponseController.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// SetReadDeadline is for http.ResponseController. With nothing left to read, a deadline
// would only end the watch for a caller that goes.
func (w *writer) SetReadDeadline(t time.Time) error {
	if w.allRead {
		return nil
	}
	return http.NewResponseController(w.ResponseWriter).SetReadDeadline(t)
}

// header notes that the header goes out now.
func (w *writer) header(status int) {
	if w.status != 0 || w.hijacked {
		return
	}
	w.status = status
	if status == http.StatusRequestEntityTooLarge && !w.allRead && w.http1 {
		// http.MaxBytesReader asks the standard server's own writer for it, and finds this one.
		w.Header().Set("Connection", "close")
	}
	if w.before != nil {
		w.before(w.Header())
	}
}

// finish does what is left to do for a handler that wrote nothing.
func (w *writer) finish() { w.header(http.StatusOK) }

// WriteHeader implements http.ResponseWriter. Informational answers are none yet.
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

// ReadFrom implements io.ReaderFrom, so that files are sent by the system.
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

// hijackable is the writer of a connection that can be taken over.
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
