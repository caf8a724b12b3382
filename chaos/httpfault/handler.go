package httpfault

import (
	"net"
	"net/http"
	"strconv"

	"github.com/backstay-go/backstay/chaos"
)

// Handler is next with the plan's faults before, in and instead of its answers. It
// needs HTTP/1.1 for resets; on HTTP/2 they end the stream.
func Handler(next http.Handler, cfg Config) http.Handler {
	q := &quotas{}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d := cfg.decide(r)
		if len(d.faults) == 0 {
			next.ServeHTTP(w, r)
			return
		}
		d.serve(w, r, next, q)
	})
}

func (d decided) serve(w http.ResponseWriter, r *http.Request, next http.Handler, q *quotas) {
	var spoil *chaos.Fault
	var late []chaos.Fault
	for _, f := range d.faults {
		if after(f) {
			d.tell(f)
			late = append(late, f)
			continue
		}
		switch f.What.Kind {
		case chaos.Latency, chaos.Hang:
			d.tell(f)
			if d.wait(f, lasting(f)) != nil {
				return
			}
		case chaos.Quota:
			if q.over(f) {
				d.tell(f)
				made(w, f, status(f, http.StatusTooManyRequests))
				return
			}
		case chaos.Status, chaos.Error:
			d.tell(f)
			made(w, f, status(f, http.StatusInternalServerError))
			return
		case chaos.RedirectLoop:
			d.tell(f)
			http.Redirect(w, r, r.URL.RequestURI(), status(f, http.StatusFound))
			return
		case chaos.Reset, chaos.Refuse, chaos.TLSFailure:
			d.tell(f)
			hangUp(w, true)
			return
		case chaos.Drop:
			d.tell(f)
			hangUp(w, false)
			return
		case chaos.SlowBody, chaos.Truncate, chaos.Corrupt, chaos.WrongLength, chaos.EndlessBody:
			if spoil == nil {
				spoil = &f
			}
		}
	}
	if len(late) > 0 {
		l := &lateWriter{ResponseWriter: w, decided: d, faults: late}
		w = l
		defer l.end()
	}
	if spoil == nil {
		next.ServeHTTP(w, r)
		return
	}
	d.tell(*spoil)
	s := &spoiled{ResponseWriter: w, decided: d, fault: *spoil}
	next.ServeHTTP(s, r)
	s.end()
}

// made is an answer that the handler never gave.
func made(w http.ResponseWriter, f chaos.Fault, status int) {
	headers(w.Header(), f)
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	}
	text := body(f)
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	// The client has gone if this fails; there is nobody left to tell.
	_, _ = w.Write([]byte(text))
}

// lateWriter holds an answer back from its first byte on, or for ever: the handler has
// carried the request out by then.
type lateWriter struct {
	http.ResponseWriter
	decided
	faults []chaos.Fault
	held   bool
	lost   chaos.Kind // how the answer is lost; empty: it is not
}

func (l *lateWriter) hold() {
	if l.held {
		return
	}
	l.held = true
	for _, f := range l.faults {
		switch f.What.Kind {
		case chaos.Reset, chaos.Drop:
			l.lost = f.What.Kind
			return
		}
		if l.wait(f, lasting(f)) != nil {
			l.lost = chaos.Drop // The client has gone, or the rule has ended with it.
			return
		}
	}
}

func (l *lateWriter) WriteHeader(status int) {
	if l.hold(); l.lost == "" {
		l.ResponseWriter.WriteHeader(status)
	}
}

func (l *lateWriter) Write(b []byte) (int, error) {
	if l.hold(); l.lost != "" {
		return len(b), nil
	}
	return l.ResponseWriter.Write(b)
}

// Flush sends what there is.
func (l *lateWriter) Flush() {
	if l.hold(); l.lost == "" {
		// Where flushing is not possible the server sends when it wants to.
		_ = http.NewResponseController(l.ResponseWriter).Flush()
	}
}

// Unwrap is for http.ResponseController.
func (l *lateWriter) Unwrap() http.ResponseWriter { return l.ResponseWriter }

// end is called when the handler has ended.
func (l *lateWriter) end() {
	if l.hold(); l.lost != "" {
		hangUp(l.ResponseWriter, l.lost == chaos.Reset)
	}
}

// hangUp ends the connection: by a reset, or by closing it.
func hangUp(w http.ResponseWriter, reset bool) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // HTTP/2: the stream is reset.
	}
	if tcp, ok := conn.(*net.TCPConn); ok && reset {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
