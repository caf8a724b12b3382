package rest

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

// sender is what a Transport or a Client uses to send requests.
type sender struct {
	base        http.RoundTripper
	multiplexed bool // base also sends several requests at once on a connection without TLS
	pools       bool // see the function
	balancer    *Balancer
	noHeaders   bool
	observer    Observer
	maxBytes    int64
	stall       time.Duration
}

// setBase sets the base transport; nil means NewBase(64).
func (s *sender) setBase(base http.RoundTripper) {
	if base == nil {
		base = NewBase(64)
	}
	s.base, s.multiplexed, s.pools = base, multiplexes(base), pools(base)
}

// closeIdle closes the base's idle connections.
func (s *sender) closeIdle() {
	if c, ok := s.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// trip is one call: its attempts, and the last answer that was a failure. Both
// Transport and Client use it.
type trip struct {
	*sender
	request    *http.Request
	pattern    string // the pattern that the request matched; empty if none
	repeatable bool

	mu sync.Mutex
	// claimed is set once an attempt has taken the caller's own body, to send it or to
	// close it.
	claimed bool
	// over is set once the call has returned. An attempt that ends later has to clean
	// up after itself.
	over   bool
	last   *http.Response
	single *singleUseBody // the request's body, once an attempt has it; nil if the body can be obtained again
	went   tries
	// first is the first attempt. It is stored here to save an allocation for most
	// requests.
	first attempt
}

// disposal disposes of answers that came too late to be used.
var disposal = []resilience.CallOption[*http.Response]{resilience.Dispose(discard)}

// context returns the caller's context. It forbids hedges for a request that must not
// be sent twice.
func (t *trip) context(ctx context.Context) context.Context {
	if !t.repeatable || !canRewind(t.request) {
		return resilience.WithoutHedge(ctx)
	}
	return ctx
}

// claim takes the caller's own body. It succeeds only once.
func (t *trip) claim() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.claimed
	t.claimed = true
	return !before
}

// exchange makes one attempt: it sends the request, reads a small answer, and judges
// it. The answer may be a failure. If there is an error, there is no answer, and the
// attempt is over. The unread rest of the answer lives under the context caller.
func (t *trip) exchange(ctx, caller context.Context) (*http.Response, *attempt, resilience.Verdict, error) {
	r := t.request
	a, own := &t.first, t.claim()
	if !own {
		a = new(attempt)
		t.keep(nil)
	}
	a.noHeaders, a.observer = t.noHeaders, t.observer
	if t.balancer != nil {
		a.balancer, a.backend = t.balancer, t.went.pick(t.balancer)
	}
	a.begin(ctx, caller, replays{replayed(r), t.multiplexed}, t.pools)
	out, err := t.outgoing(a, own)
	if err == nil {
		var began time.Time
		if t.observer != nil {
			began = time.Now()
		}
		var resp *http.Response
		resp, err = a.answer(t.base, out)
		if err == nil && !isBodiless(resp, r) && isSmall(resp, t.maxBytes) {
			err = a.readBuffered(resp, t.stall)
		}
		t.observe(ctx, a, out, t.pattern, resp, err, began)
		if waited := a.upload.callerTime(); waited > 0 {
			resilience.ExcludeWait(ctx, waited)
		}
		if err == nil {
			return resp, a, t.judge(a, resp), nil
		}
	}
	failed := a.failed(r, err, t.canSendAgain(), t.repeatable)
	a.observe(failed.verdict)
	a.cancel(context.Canceled)
	return nil, a, failed.verdict, failed
}

// outgoing returns the request of an attempt. Its body is the caller's own or another
// with the same content. The caller's request is not changed.
func (t *trip) outgoing(a *attempt, own bool) (*http.Request, error) {
	out := t.request.WithContext(a.context(t.pools))
	if out.Body != nil && out.Body != http.NoBody {
		switch {
		case out.GetBody != nil && !own:
			body, err := out.GetBody()
			if err != nil {
				a.upload.failed.Store(true)
				return nil, err
			}
			out.Body = body
		case out.GetBody == nil && own:
			t.single = &singleUseBody{inner: out.Body}
		}
		if err := a.upload.watch(out, t.single); err != nil {
			return nil, err
		}
	}
	out.Pattern = t.pattern
	if a.backend != nil {
		direct(out, a.backend.base)
	}
	return out, nil
}

// answer checks that base keeps its contract: it must return an answer with a body, or
// an error.
func (a *attempt) answer(base http.RoundTripper, out *http.Request) (*http.Response, error) {
	resp, err := a.send(base, out)
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

// judge returns the verdict on an answer.
func (t *trip) judge(a *attempt, resp *http.Response) resilience.Verdict {
	v := judge(resp.StatusCode, resp.Header, t.repeatable)
	if v.Outcome != resilience.Failure {
		return v
	}
	if a.upload.isCallers(a.began, false) {
		return verdicts[ofCaller]
	}
	if !t.canSendAgain() {
		v.Repeat = resilience.RepeatNever
	}
	return v
}

// observe reports the outcome of the attempt to the balancer. If the caller left or
// another attempt won, it reports nothing, because that says nothing about the address.
func (a *attempt) observe(v resilience.Verdict) {
	if a.backend == nil || v.Outcome == resilience.Ignored && a.Err() != nil {
		return
	}
	a.balancer.observe(a.backend, v.Outcome == resilience.Failure)
}

// canRewind reports whether a request's body can be obtained again.
func canRewind(r *http.Request) bool {
	return r.Body == nil || r.Body == http.NoBody || r.GetBody != nil
}

// canSendAgain reports whether the body can be sent again: it can be obtained again, or
// was not read.
func (t *trip) canSendAgain() bool {
	return canRewind(t.request) || t.single != nil && t.single.isUnread()
}

// keep stores the answer of the last failure; nil removes it.
func (t *trip) keep(r *http.Response) {
	t.mu.Lock()
	before, over := t.last, t.over
	t.last = r
	if over {
		t.last = nil
	}
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
	if t.single != nil {
		t.single.settle()
	}
	if !claimed {
		closeBody(t.request)
	}
	return last
}

// discard closes an answer that is not needed.
func discard(r *http.Response) {
	if r != nil && r.Body != nil {
		// After an error its connection is not used again.
		_ = r.Body.Close()
	}
}
