package rest

import (
	"context"
	"errors"
	"net/http"

	"github.com/backstay-go/backstay/clients/rest/internal/wire"
	"github.com/backstay-go/backstay/resilience"
)

// errOneShot: the body was a stream, and an attempt has read it.
var errOneShot = errors.New("the body can't be sent again: set Request.GetBody")

// idempotent says whether a request may be sent twice by what it is.
func idempotent(r *http.Request) bool {
	switch r.Method {
	case http.MethodPut, http.MethodDelete:
		return true
	}
	return isSafe(r) || r.Header.Get("Idempotency-Key") != "" || r.Header.Get("X-Idempotency-Key") != ""
}

func isSafe(r *http.Request) bool {
	switch r.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}

// replayed says whether net/http would send a request again that may have been
// processed. It asks for the key of an idempotent request, not for its value.
func replayed(r *http.Request) bool {
	if isSafe(r) {
		return true
	}
	_, key := r.Header["Idempotency-Key"]
	_, other := r.Header["X-Idempotency-Key"]
	return key || other
}

// resendable says whether the body can be sent again.
func resendable(r *http.Request) bool {
	return r.Body == nil || r.Body == http.NoBody || r.GetBody != nil
}

// request is the request as it is sent, with the caller's own body or another one that
// reads the same. The caller's request is not changed. On a base that pools, it is
// marked once there is a connection.
func (a *attempt) request(ctx context.Context, r *http.Request, own, quiet bool) (*http.Request, error) {
	a.quiet = quiet
	out := r.WithContext(ctx)
	if !own && r.Body != nil && r.Body != http.NoBody {
		if r.GetBody == nil {
			return nil, errOneShot
		}
		body, err := r.GetBody()
		if err != nil {
			return nil, err
		}
		out.Body = body
	}
	if _, pools := ctx.(*pooled); !pools {
		a.mark(out, nil)
	}
	return out, nil
}

// attempts and classes are values of headers, shared by all requests: nobody may
// change an element.
var attempts, classes = func() (a [9][2][1]string, c map[resilience.Criticality][]string) {
	for n := range a {
		a[n] = [2][1]string{{wire.FormatAttempt(n, false)}, {wire.FormatAttempt(n, true)}}
	}
	c = map[resilience.Criticality][]string{}
	for class := resilience.Sheddable; class <= resilience.CriticalPlus; class++ {
		c[class] = []string{wire.FormatCriticality(class)}
	}
	return a, c
}()

// mark writes what travels with a request. What goes without saying is not said: a
// first attempt, and the class critical. Headers of this kind that the request came
// with, from a proxy for example, were meant for another hop. The headers are written
// to space, or to a new map.
func (a *attempt) mark(out *http.Request, space http.Header) {
	h := out.Header
	if a.quiet && space == nil && h[HeaderTimeout] == nil && h[HeaderAttempt] == nil && h[HeaderCriticality] == nil && h != nil {
		return
	}
	// Values are shared with the caller's headers: nothing below changes them.
	if out.Header = space; space == nil {
		out.Header = make(http.Header, len(h)+3)
	}
	for name, values := range h {
		if name != HeaderTimeout && name != HeaderAttempt && name != HeaderCriticality {
			out.Header[name] = values
		}
	}
	if a.quiet {
		return
	}
	if a.left > 0 {
		a.timeout[0] = wire.FormatTimeout(a.left)
		out.Header[HeaderTimeout] = a.timeout[:]
	}
	number := int(a.number)
	if a.retried {
		number = max(2, number)
	}
	switch {
	case number <= 1 && !a.hedged:
	case number < len(attempts) && a.hedged:
		out.Header[HeaderAttempt] = attempts[number][1][:]
	case number < len(attempts):
		out.Header[HeaderAttempt] = attempts[number][0][:]
	default:
		out.Header[HeaderAttempt] = []string{wire.FormatAttempt(number, a.hedged)}
	}
	if a.class != resilience.Critical {
		out.Header[HeaderCriticality] = classes[a.class]
	}
}

func closeBody(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
}
