package rest

import (
	"net/http"

	"github.com/backstay-go/backstay/internal/headers"
	"github.com/backstay-go/backstay/resilience"
)

// The headers that services with Backstay send to each other. Their names and formats are in
// internal/headers, which the server and package chaos/httpfault share.
const (
	// HeaderTimeout is the time that is left until the caller's deadline, in
	// milliseconds.
	HeaderTimeout = headers.Timeout
	// HeaderCriticality is the call's class: critical_plus, critical, sheddable_plus or
	// sheddable.
	HeaderCriticality = headers.Criticality
	// HeaderAttempt is the number of the attempt, from 1, with ";hedge" for a hedge.
	// Above 1 the request is itself a repeat.
	HeaderAttempt = headers.Attempt
	// HeaderRefused marks an answer to a request that was not processed: overload,
	// deadline or draining.
	HeaderRefused = headers.Refused
)

// attempts and classes are header values that all requests share, so their elements
// must not be changed.
var attempts, classes = func() (a [9][2][1]string, c map[resilience.Criticality][]string) {
	for n := range a {
		a[n] = [2][1]string{{headers.FormatAttempt(n, false)}, {headers.FormatAttempt(n, true)}}
	}
	c = map[resilience.Criticality][]string{}
	for class := resilience.Sheddable; class <= resilience.CriticalPlus; class++ {
		c[class] = []string{class.String()}
	}
	return a, c
}()

// mark writes the Backstay headers of a request. The defaults are left out: a first
// attempt, and the class critical. Backstay headers that the request already has, for
// example from a proxy, were meant for another hop and are removed. The result is written
// to space, or to a new map.
func (a *attempt) mark(out *http.Request, space http.Header) {
	h := out.Header
	if a.noHeaders && a.observer == nil && space == nil && h[HeaderTimeout] == nil && h[HeaderAttempt] == nil && h[HeaderCriticality] == nil && h != nil {
		return
	}
	// Values are shared with the caller's headers: nothing below changes them.
	out.Header = space
	if space == nil {
		out.Header = make(http.Header, len(h)+3)
	}
	for name, values := range h {
		if name != HeaderTimeout && name != HeaderAttempt && name != HeaderCriticality {
			out.Header[name] = values
		}
	}
	if a.observer != nil {
		a.observer.OnRequest(a.guarded, out.Header)
	}
	if a.noHeaders {
		return
	}
	if a.left > 0 {
		a.timeout[0] = headers.FormatTimeout(a.left)
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
		out.Header[HeaderAttempt] = []string{headers.FormatAttempt(number, a.hedged)}
	}
	if a.class != resilience.Critical {
		out.Header[HeaderCriticality] = classes[a.class]
	}
}
