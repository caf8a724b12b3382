package rest

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

// trip is one RoundTrip: its attempts, and the last answer that was a failure.
type trip struct {
	transport  *Transport
	request    *http.Request
	route      route
	repeatable bool

	mu sync.Mutex
	// claimed: the caller's own body was taken, to be sent or to be closed.
	claimed bool
	// over: RoundTrip has returned. Who comes later cleans up after itself.
	over bool
	last *http.Response
	went tries
	// first is the first attempt: one piece of memory less for most requests.
	first attempt
}

// disposal is for answers that came too late to be used.
var disposal = []resilience.CallOption[*http.Response]{resilience.Dispose(discard)}

// claim takes the caller's own body, once.
func (t *trip) claim() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.claimed
	t.claimed = true
	return !before
}

// attempt sends the request once.
func (t *trip) attempt(ctx context.Context) (*http.Response, error) {
	tr, r := t.transport, t.request
	a, own := &t.first, t.claim()
	if !own {
		a = new(attempt)
		t.keep(nil)
	}
	if tr.Balancer != nil {
		a.balancer, a.backend = tr.Balancer, t.went.pick(tr.Balancer)
	}
	a.begin(ctx, r.Context(), wired{replayed(r), tr.multiplexed}, tr.pools)
	out, err := a.request(a.context(tr.pools), r, own, tr.Quiet)
	if err != nil {
		err = a.failed(r, err, false)
		a.cancel(context.Canceled)
		return nil, err
	}
	out.Pattern = t.route.pattern
	if a.backend != nil {
		direct(out, a.backend.base)
	}
	var began time.Time
	if tr.Observe != nil {
		began = time.Now()
	}
	resp, err := roundTrip(tr.base, out)
	if err == nil && !isBodiless(resp, r) && isSmall(resp, tr.maxBytes()) {
		err = a.readWhole(resp, tr.stall())
	}
	observe(tr.Observe).tell(ctx, a, out, t.route.pattern, resp, err, began)
	if err != nil {
		e := a.failed(r, err, t.repeatable)
		a.observe(e.verdict)
		a.cancel(context.Canceled)
		return nil, e
	}
	verdict, failed := judge(resp.StatusCode, resp.Header, t.repeatable)
	a.observe(verdict)
	if !failed {
		return tr.guarded(resp, r, a, true), nil
	}
	if !resendable(r) {
		verdict.Repeat = resilience.RepeatNever
	}
	// Nobody may need this answer, so it holds no permit. If it is handed over, it
	// lives under the caller's context.
	a.leave()
	t.keep(tr.guarded(resp, r, a, false))
	return nil, &StatusError{Method: r.Method, URL: shown(r), Status: resp.StatusCode, Header: resp.Header, verdict: verdict}
}

// roundTrip is base's, held to its contract: an answer with a body, or an error.
func roundTrip(base http.RoundTripper, out *http.Request) (*http.Response, error) {
	if out.GetBody == nil && out.Body != nil && out.Body != http.NoBody {
		once := newOneShot(out)
		defer once.settle()
	}
	resp, err := base.RoundTrip(out)
	switch {
	case err != nil:
		return nil, err
	case resp == nil:
		return nil, errNothing
	case resp.Body == nil:
		resp.Body = http.NoBody
	}
	return resp, nil
}

var errNothing = errors.New("the base transport returned neither an answer nor an error")

// observe tells the balancer how the attempt went, unless nothing can be told from it:
// the caller left, or another attempt won.
func (a *attempt) observe(v resilience.Verdict) {
	if a.backend == nil || v.Outcome == resilience.Ignored && a.Err() != nil {
		return
	}
	a.balancer.observe(a.backend, v.Outcome == resilience.Failure)
}

// keep remembers the last failure's answer; nil forgets it.
func (t *trip) keep(r *http.Response) {
	t.mu.Lock()
	before := t.last
	if t.last = r; t.over {
		t.last = nil
	}
	over := t.over
	t.mu.Unlock()
	discard(before)
	if over {
		discard(r)
	}
}

// finish ends the trip: it closes a body that no attempt has taken, and returns the
// last failure's answer.
func (t *trip) finish() *http.Response {
	t.mu.Lock()
	last, claimed := t.last, t.claimed
	t.last, t.over, t.claimed = nil, true, true
	t.mu.Unlock()
	if !claimed {
		closeBody(t.request)
	}
	return last
}

// discard closes an answer that nobody needs.
func discard(r *http.Response) {
	if r != nil && r.Body != nil {
		// An error means that its connection is not used again.
		_ = r.Body.Close()
	}
}
