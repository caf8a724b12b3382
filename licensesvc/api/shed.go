package api

import (
	"net/http"

	"github.com/backstay-go/backstay/resilience"
)

// refusal is an answer that is made in advance: refusing must be cheapest when load is highest.
type refusal struct {
	header http.Header
	body   []byte
}

// newRefusal makes the answer to a request that is refused because of overload.
func newRefusal() refusal {
	p := problemOf(KindOverloaded, http.StatusServiceUnavailable, "the service has more to do than it can; send it again later, or elsewhere")
	p.Refused, p.RetryAfter = "overload", 1
	w := &keptWriter{statusWriter: statusWriter{header: http.Header{"Retry-After": {"1"}, "Backstay-Refused": {"overload"}}}}
	p.write(w, &http.Request{Method: http.MethodGet})
	return refusal{header: w.header, body: w.body}
}

// keptWriter also keeps the body of an answer.
type keptWriter struct {
	statusWriter
	body []byte
}

func (w *keptWriter) Write(b []byte) (int, error) {
	w.body = append(w.body, b...)
	return len(b), nil
}

// write sends the answer. The values of its headers are shared.
func (f *refusal) write(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	for name, values := range f.header {
		h[name] = values
	}
	w.WriteHeader(http.StatusServiceUnavailable)
	if r.Method != http.MethodHead {
		_, _ = w.Write(f.body) // If this fails, the caller has gone.
	}
}

// class is the criticality of a route. It is a handler only for the ServeMux.
type class resilience.Criticality

// ServeHTTP is never called.
func (class) ServeHTTP(http.ResponseWriter, *http.Request) {}

// classMux returns a mux that finds the class of a request.
func classMux(p resilience.Policy) *http.ServeMux {
	mux := http.NewServeMux()
	for pattern, op := range guardRoutes {
		mux.Handle(pattern, class(p.Operations[op].Criticality))
	}
	mux.Handle("/", class(p.Default.Criticality))
	return mux
}

// classOf returns the class of a request.
func (a *API) classOf(r *http.Request) resilience.Criticality {
	found, _ := a.classes.Handler(r)
	c, _ := found.(class)
	return resilience.Criticality(c)
}
