package rest

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

// judge returns what the status of an answer means for the guard. A status that is the
// caller's fault, or that shows only what the server supports, is Ignored: it is neither
// a success nor a failure.
func judge(status int, h http.Header, idempotent bool) resilience.Verdict {
	if status < http.StatusBadRequest {
		return resilience.Verdict{}
	}
	if status < http.StatusTooManyRequests || status == http.StatusNotImplemented || status == http.StatusHTTPVersionNotSupported ||
		status > http.StatusTooManyRequests && status < http.StatusInternalServerError {
		return answered
	}
	v := resilience.Verdict{Outcome: resilience.Failure, Repeat: resilience.RepeatNever, After: spread(retryAfter(h, time.Now()))}
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
	return v
}

// mark is how a server qualifies a refusal, in addition to its status.
type mark int

const (
	unmarked mark = iota
	// markedRefused: the request was not processed, so it may be sent again whatever
	// its method is.
	markedRefused
	// markedFinal: the server does not want the request to be sent again.
	markedFinal
	// markedOverload: the server has too much to do.
	markedOverload
)

// markOf reads the marks of Backstay, Finagle and Envoy.
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

// answered is the verdict on an answer that is neither a success nor a failure of the
// dependency.
var answered = resilience.Verdict{Outcome: resilience.Ignored, Repeat: resilience.RepeatNever}

// asError returns the verdict on an answer that is returned as an error. What is not even
// a failure by its status, such as a redirect, is Ignored then.
func asError(v resilience.Verdict) resilience.Verdict {
	if v.Outcome == resilience.Success {
		return answered
	}
	return v
}

// spread adds up to a fifth to the pause for which a server asked, so that requests
// that were refused at the same time do not return at the same time.
func spread(after time.Duration) time.Duration {
	if after <= 0 {
		return 0
	}
	return after + rand.N(after/5+1)
}

// maxRetryAfter replaces longer pauses, so that no sum of times overflows.
const maxRetryAfter = 365 * 24 * time.Hour

// retryAfter reads the header in both forms: seconds of any size, or a date. If there
// are several values, in one line or in several, the longest counts.
func retryAfter(h http.Header, now time.Time) (longest time.Duration) {
	// The server's clock counts, if the answer has a Date.
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	for _, line := range h.Values("Retry-After") {
		if at, err := http.ParseTime(strings.TrimSpace(line)); err == nil {
			longest = max(longest, at.Sub(now))
			continue
		}
		for text := range strings.SplitSeq(line, ",") {
			longest = max(longest, parseSeconds(strings.TrimSpace(text)))
		}
	}
	return min(longest, maxRetryAfter)
}

// parseSeconds reads a number of seconds, with or without a fraction. It returns 0 for
// other texts.
func parseSeconds(text string) time.Duration {
	if strings.Trim(text, "0123456789.") != "" {
		return 0
	}
	s, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil && !errors.Is(err, strconv.ErrRange):
		return 0
	case s >= maxRetryAfter.Seconds():
		return maxRetryAfter
	}
	return time.Duration(s * float64(time.Second))
}
