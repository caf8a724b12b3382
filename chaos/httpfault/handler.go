package httpfault

import (
	"net"
	"net/http"
	"strconv"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/internal/hangup"
)

// Handler returns next with the plan's faults before, in and instead of its answers.
// Resets need HTTP/1.1; on HTTP/2 they end only the stream.
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
	course := d.course(q)
	f, err := d.before(course.before)
	switch {
	case err != nil:
		return
	case f != nil:
		instead(w, r, *f)
		return
	}
	if len(course.after) > 0 {
		l := &lateWriter{ResponseWriter: w, decided: d, faults: course.after}
		for _, f := range course.after {
			d.report(f)
		}
		w = expose(l)
		defer l.end()
	}
	if len(course.body) == 0 {
		next.ServeHTTP(w, r)
		return
	}
	s := &spoiled{ResponseWriter: w, damage: d.damage(course.body)}
	next.ServeHTTP(expose(s), r)
	s.end()
}

// instead does what a fault does instead of an answer of the handler.
func instead(w http.ResponseWriter, r *http.Request, f chaos.Fault) {
	switch f.What.Kind {
	case chaos.Quota:
		made(w, f, status(f, http.StatusTooManyRequests))
	case chaos.RedirectLoop:
		http.Redirect(w, r, r.URL.RequestURI(), status(f, http.StatusFound))
	case chaos.Reset, chaos.Refuse, chaos.TLSFailure:
		hangUp(w, true)
	case chaos.Drop:
		hangUp(w, false)
	default:
		made(w, f, status(f, http.StatusInternalServerError))
	}
}

// made sends an answer that the fault makes up.
func made(w http.ResponseWriter, f chaos.Fault, status int) {
	setHeaders(w.Header(), f)
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	}
	text := body(f)
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	// If this fails, the client is gone, so the error can't be reported to anybody.
	_, _ = w.Write([]byte(text))
}

// hangUp ends the connection, by a reset or by closing it.
func hangUp(w http.ResponseWriter, reset bool) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // HTTP/2: the stream is reset.
	}
	if reset {
		below := conn
		if secure, ok := conn.(interface{ NetConn() net.Conn }); ok {
			below = secure.NetConn() // TLS would send close_notify first.
		}
		if tcp, ok := below.(*net.TCPConn); ok {
			hangup.All(true, tcp)
			return
		}
	}
	// An error means that the connection is closed already, as intended.
	_ = conn.Close()
}
