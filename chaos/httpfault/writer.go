package httpfault

import (
	"bytes"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/backstay-go/backstay/chaos"
)

// lateWriter delays an answer from its first byte on, or withholds it for ever. By then the
// handler has carried the request out.
type lateWriter struct {
	http.ResponseWriter
	decided
	faults   []chaos.Fault
	held     bool
	lost     chaos.Kind // how the answer is lost; empty: it is not
	hijacked bool       // the handler has taken the connection
}

// hold waits once for the faults, and returns how the answer is lost. An empty kind means
// that it is not lost.
func (l *lateWriter) hold() chaos.Kind {
	if l.held {
		return l.lost
	}
	l.held = true
	for _, f := range l.faults {
		if l.wait(f, lasting(f)) != nil {
			l.lost = chaos.Drop // The client has gone, or the rule has ended with it.
			break
		}
		if k := f.What.Kind; (k == chaos.Reset || k == chaos.Drop) && !l.injector.Over(f) {
			l.lost = k
			break
		}
	}
	return l.lost
}

func (l *lateWriter) WriteHeader(status int) {
	if l.hold() == "" {
		l.ResponseWriter.WriteHeader(status)
	}
}

func (l *lateWriter) Write(b []byte) (int, error) {
	if l.hold() != "" {
		return len(b), nil
	}
	return l.ResponseWriter.Write(b)
}

// Flush sends what there is.
func (l *lateWriter) Flush() {
	if l.hold() == "" {
		flush(l.ResponseWriter)
	}
}

// Unwrap is for http.ResponseController.
func (l *lateWriter) Unwrap() http.ResponseWriter { return l.ResponseWriter }

// end is called when the handler has ended.
func (l *lateWriter) end() {
	if l.hijacked {
		return
	}
	if lost := l.hold(); lost != "" {
		hangUp(l.ResponseWriter, lost == chaos.Reset)
	}
}

// spoiled is a ResponseWriter whose body is damaged.
type spoiled struct {
	http.ResponseWriter
	damage   *damage
	wrote    bool
	hijacked bool // the handler has taken the connection
}

func (s *spoiled) WriteHeader(status int) {
	if s.wrote {
		return
	}
	if status < http.StatusOK && status != http.StatusSwitchingProtocols {
		s.ResponseWriter.WriteHeader(status) // one of several
		return
	}
	s.wrote = true
	h := s.Header()
	if wrong := s.damage.of(chaos.WrongLength); wrong != nil {
		n, _ := strconv.ParseInt(h.Get("Content-Length"), 10, 64)
		h.Set("Content-Length", strconv.FormatInt(n+max(1, wrong.What.Bytes), 10))
	}
	if s.damage.of(chaos.EndlessBody) != nil {
		h.Del("Content-Length")
	}
	s.ResponseWriter.WriteHeader(status)
}

func (s *spoiled) Write(b []byte) (int, error) {
	if !s.wrote {
		if h := s.Header(); s.damage.of(chaos.WrongLength) != nil && h.Get("Content-Length") == "" {
			h.Set("Content-Length", strconv.Itoa(len(b))) // as the server would, of a body in one piece
		}
		s.WriteHeader(http.StatusOK)
	}
	err := s.damage.pass(b, func(part []byte) error {
		_, err := s.ResponseWriter.Write(part)
		s.Flush()
		return err
	})
	if c := (*cut)(nil); errors.As(err, &c) {
		s.Flush()
		if c.fault.What.Kind == chaos.Reset {
			hangUp(s.ResponseWriter, true)
		}
		panic(http.ErrAbortHandler)
	}
	if s.damage.ctx.Err() != nil {
		panic(http.ErrAbortHandler) // The wait ended early because the client is gone.
	}
	return len(b), err
}

// Flush sends what there is.
func (s *spoiled) Flush() { flush(s.ResponseWriter) }

// Unwrap is for http.ResponseController.
func (s *spoiled) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// end is called when the handler has ended.
func (s *spoiled) end() {
	if s.hijacked {
		return
	}
	if !s.wrote {
		s.WriteHeader(http.StatusOK)
	}
	if f := s.damage.of(chaos.EndlessBody); f != nil {
		s.endless(*f)
	}
	if s.damage.of(chaos.WrongLength) != nil {
		panic(http.ErrAbortHandler) // The body was shorter than its stated length.
	}
}

// endless writes until the rule ends or the client leaves, and then breaks the body off.
func (s *spoiled) endless(f chaos.Fault) {
	d := s.damage
	piece := bytes.Repeat([]byte{' '}, int(chunk(f)))
	for !d.injector.Over(f) && d.ctx.Err() == nil {
		if _, err := s.ResponseWriter.Write(piece); err != nil {
			return
		}
		s.Flush()
		if d.wait(f, max(time.Millisecond, d.pause(f, 0))) != nil {
			return
		}
	}
	panic(http.ErrAbortHandler)
}

func flush(w http.ResponseWriter) {
	// Where flushing is not possible, the server itself decides when to send.
	_ = http.NewResponseController(w).Flush()
}
