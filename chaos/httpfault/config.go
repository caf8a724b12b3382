package httpfault

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/backstay-go/backstay/chaos"
)

// Config says which requests meet the faults of which plan.
type Config struct {
	// Dependency and Node name the server in rules.
	Dependency, Node string
	// Operation names a request in rules. Nil: the pattern that the handler's mux
	// matched, as far as it is known then, else none.
	Operation func(*http.Request) string
	// Injector decides which faults happen. Nil: none.
	Injector *chaos.Injector
	_        struct{}
}

// decided is a request and what is to happen to it.
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
	d.call = chaos.Call{Dependency: c.Dependency, Node: c.Node, Protocol: chaos.HTTP, Method: r.Method, Path: r.URL.Path}
	if c.Operation != nil {
		d.call.Operation = c.Operation(r)
	} else {
		d.call.Operation = r.Pattern
	}
	number, _, _ := strings.Cut(r.Header.Get("Backstay-Attempt"), ";") // "2;hedge"
	if n, err := strconv.Atoi(number); err == nil && n > 0 {
		d.call.Attempt = n
	}
	d.faults = c.Injector.Decide(d.ctx, d.call)
	return d
}

// report passes a fault to the listeners.
func (d decided) report(f chaos.Fault) { d.injector.Report(d.ctx, d.call, f) }

// wait is a latency or a hang; an error means that the request is over.
func (d decided) wait(f chaos.Fault, t time.Duration) error {
	return d.injector.Sleep(d.ctx, f, t)
}

// course is what happens to a request, by when: waits and what comes instead of an answer,
// in the order of the rules; then what meets an answer; then what meets its body.
type course struct{ before, after, body []chaos.Fault }

// course sorts the faults. Waits add up; of the others the first that applies wins.
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

// ended says that a fault that had to wait is over by now.
func (d decided) ended(f chaos.Fault) bool { return f.Delay > 0 && d.injector.Over(f) }

// before waits by the faults that come before an answer. It returns the one that comes instead
// of the answer, if any; an error means that the request is over.
func (d decided) before(faults []chaos.Fault) (instead *chaos.Fault, err error) {
	waited := false
	for _, f := range faults {
		if waited && d.injector.Over(f) {
			continue // its rule ended while the request waited by another
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

// over says whether a request is one too many. The fault then says when there is room
// again, unless its rule does.
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

// status is that of a rule, or another one.
func status(f chaos.Fault, otherwise int) int {
	if f.What.Status != 0 {
		return f.What.Status
	}
	return otherwise
}

// headers are those of a made-up answer.
func headers(h http.Header, f chaos.Fault) {
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

// lasts says that a fault is nothing but a wait.
func lasts(f chaos.Fault) bool {
	return f.What.Kind == chaos.Latency || f.What.Kind == chaos.Hang
}

// lasting is how long a fault waits.
func lasting(f chaos.Fault) time.Duration {
	if f.What.Kind == chaos.Hang {
		return chaos.MaxTTL
	}
	return f.Delay
}
