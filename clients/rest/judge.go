package rest

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

// judge says what an answer's status means for the guard. failed is false for a success
// and for what is the caller's fault or the server's nature, which is no failure of the
// dependency.
func judge(status int, h http.Header, idempotent bool) (v resilience.Verdict, failed bool) {
	if status < http.StatusTooManyRequests || status == http.StatusNotImplemented || status == http.StatusHTTPVersionNotSupported ||
		status > http.StatusTooManyRequests && status < http.StatusInternalServerError {
		return answered, false
	}
	v = resilience.Verdict{Outcome: resilience.Failure, Repeat: resilience.RepeatNever, After: retryAfter(h, time.Now())}
	if idempotent {
		v.Repeat = resilience.RepeatIfIdempotent
	}
	refused := status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable && h.Get("Retry-After") != ""
	switch markOf(h) {
	case markedRefused:
		refused, v.Repeat = true, resilience.RepeatAlways
	case markedFinal:
		refused, v.Repeat = true, resilience.RepeatNever
	case markedOverload:
		refused = true
	}
	if refused {
		v.Outcome = resilience.Overload
	}
	return v, true
}

// mark is what a server says of a refusal beside its status.
type mark int

const (
	unmarked mark = iota
	// markedRefused: it was not processed, any method may be sent again.
	markedRefused
	// markedFinal: sending it again is not wanted.
	markedFinal
	// markedOverload: the server has too much to do.
	markedOverload
)

// markOf reads Backstay's mark, Finagle's and Envoy's.
func markOf(h http.Header) mark {
	has := func(name string) bool { return len(h[name]) > 0 }
	switch {
	case has("Finagle-Http-Nonretryable-Nack"), has("X-Envoy-Ratelimited"):
		return markedFinal
	case has(HeaderRefused), has("Finagle-Http-Nack"):
		return markedRefused
	case has("X-Envoy-Overloaded"):
		return markedOverload
	}
	return unmarked
}

// answered is an answer that is no failure of the dependency.
var answered = resilience.Verdict{Outcome: resilience.Ignored, Repeat: resilience.RepeatNever}

// retryAfter reads the header in both forms: seconds, or a date.
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if text == "" {
		return 0
	}
	if s, err := strconv.ParseInt(text, 10, 32); err == nil {
		return max(0, time.Duration(s)*time.Second)
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	// The server's clock counts, if it tells.
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return max(0, at.Sub(now))
}
