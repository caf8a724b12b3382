package httpfault

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/internal/headers"
)

// Config says which requests meet the faults of which plan.
type Config struct {
	// Dependency and Node name the server in rules.
	Dependency, Node string
	// Operation returns the name of a request in rules. If nil, the name is the pattern
	// that the handler's mux matched, if that is known by then; otherwise there is no name.
	Operation func(*http.Request) string
	// Injector decides which faults happen. Nil: none.
	Injector *chaos.Injector
	_        struct{}
}

// decided is a request together with the faults that were chosen for it.
type decided struct {
	injector *chaos.Injector
	ctx      context.Context
	call     chaos.Call
	faults   []chaos.Fault
}

func (c Config) decide(r *http.Request) decided {
	d := decided{injector: c.Injector, ctx: chaos.FromBaggage(r.Context(), r.Header.Get("Baggage"))}
	if !c.Injector.Running() {
		return d
	}
	// In a proxy, the trace of the request is known from its headers only.
	if !trace.SpanContextFromContext(d.ctx).IsValid() {
		d.ctx = propagation.TraceContext{}.Extract(d.ctx, propagation.HeaderCarrier(r.Header))
	}
	d.call = chaos.Call{Dependency: c.Dependency, Node: c.Node, Protocol: chaos.HTTP, Method: r.Method, Path: r.URL.Path}
	if c.Operation != nil {
		d.call.Operation = c.Operation(r)
	} else {
		d.call.Operation = r.Pattern
	}
	if n, _, ok := headers.ParseAttempt(r.Header.Get(headers.Attempt)); ok {
		d.call.Attempt = n
	}
	d.faults = c.Injector.Decide(d.ctx, d.call)
	return d
}

// report passes a fault to the listeners.
func (d decided) report(f chaos.Fault) { d.injector.Report(d.ctx, d.call, f) }

// wait waits for a latency or a hang. An error means that the request has ended.
func (d decided) wait(f chaos.Fault, t time.Duration) error {
	return d.injector.Sleep(d.ctx, f, t)
}

// course holds the faults of a request by when they act: first waits and faults that come
// instead of an answer, in the order of the rules; then faults of the answer; then faults
// of its body.
type course struct{ before, after, body []chaos.Fault }

// course sorts the faults. Waits add up; of the others only the first that applies happens.
func (d decided) course(q *quotas) course {
	var c course
	decided := false
	for _, f := range d.faults {
		if !f.What.Kind.Waits() {
			if decided || f.What.Kind == chaos.Quota && !q.over(&f) {
				continue
			}
			decided = true
		}
		switch f.What.Kind {
		case chaos.SlowBody, chaos.Truncate, chaos.Corrupt, chaos.WrongLength, chaos.EndlessBody:
			c.body = append(c.body, f)
			continue
		}
		switch {
		case f.What.AfterBytes > 0:
			c.body = append(c.body, f)
		case f.What.At == "after":
			c.after = append(c.after, f)
		default:
			c.before = append(c.before, f)
		}
	}
	return c
}

// ended reports whether a fault that had to wait has ended by now.
func (d decided) ended(f chaos.Fault) bool { return f.Delay > 0 && d.injector.Over(f) }

// before waits as the faults that come before an answer require. It returns the fault that
// comes instead of the answer, if there is one. An error means that the request has ended.
func (d decided) before(faults []chaos.Fault) (instead *chaos.Fault, err error) {
	waited := false
	for _, f := range faults {
		if waited && d.injector.Over(f) {
			continue // its rule ended while the request waited because of another rule
		}
		waited = waited || lasting(f) > 0
		d.report(f)
		if err := d.wait(f, lasting(f)); err != nil {
			return nil, err
		}
		if !lasts(f) && !d.ended(f) {
			return &f, nil
		}
	}
	return nil, nil
}

// quotas counts requests by rule and period.
type quotas struct {
	mu    sync.Mutex
	count map[string]quota
}

type quota struct {
	began time.Time
	n     int
}

// over reports whether a request exceeds the quota. It also sets the time after which the
// fault admits requests again, unless the rule sets it.
func (q *quotas) over(f *chaos.Fault) bool {
	now := time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.count == nil {
		q.count = map[string]quota{}
	}
	c := q.count[f.Rule]
	if c.began.IsZero() || now.Sub(c.began) >= f.What.Period {
		c = quota{began: now}
	}
	c.n++
	q.count[f.Rule] = c
	if f.What.RetryAfter == 0 {
		f.What.RetryAfter = c.began.Add(f.What.Period).Sub(now)
	}
	return c.n > f.What.Limit
}

// status returns the rule's status, or a default.
func status(f chaos.Fault, otherwise int) int {
	if f.What.Status != 0 {
		return f.What.Status
	}
	return otherwise
}

// setHeaders sets the headers of an answer that a fault makes up.
func setHeaders(h http.Header, f chaos.Fault) {
	for k, v := range f.What.Headers {
		h.Set(k, v)
	}
	if f.What.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int((f.What.RetryAfter+time.Second-1)/time.Second)))
	}
}

func body(f chaos.Fault) string {
	switch {
	case f.What.Body != "":
		return f.What.Body
	case f.What.Message != "":
		return f.What.Message + "\n"
	}
	return "injected by chaos rule " + strconv.Quote(f.Rule) + "\n"
}

// lasts reports whether a fault only waits.
func lasts(f chaos.Fault) bool {
	return f.What.Kind == chaos.Latency || f.What.Kind == chaos.Hang
}

// lasting returns how long a fault waits.
func lasting(f chaos.Fault) time.Duration {
	if f.What.Kind == chaos.Hang {
		return chaos.MaxTTL
	}
	return f.Delay
}
