package headers

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// The headers' names, in canonical form.
const (
	// Timeout is the time that is left until the caller's deadline, in milliseconds. It
	// is computed again for each hop and each attempt.
	Timeout = "Backstay-Timeout-Ms"
	// Criticality is the call's class: critical_plus, critical, sheddable_plus or
	// sheddable.
	Criticality = "Backstay-Criticality"
	// Attempt is the number of the attempt, from 1; ";hedge" marks a hedge. Above 1 the
	// request is itself a repeat.
	Attempt = "Backstay-Attempt"
	// Refused is on answers to requests that were not processed, and says why: a Reason.
	Refused = "Backstay-Refused"
)

// MaxTimeout is the longest timeout that is written or accepted from a peer: ten days.
// That is far more than any call takes, and far less than a time.Duration can hold.
const MaxTimeout = 10 * 24 * time.Hour

// FormatTimeout writes the remaining time in whole milliseconds, but at least 1. It is
// rounded down so that a peer never works past the deadline. If no time is left, a
// request is not sent at all.
func FormatTimeout(left time.Duration) string {
	return strconv.FormatInt(max(1, min(left, MaxTimeout).Milliseconds()), 10)
}

// ParseTimeout reads milliseconds. Zero and negative values mean that no time is left.
// A value above MaxTimeout becomes MaxTimeout.
func ParseTimeout(text string) (left time.Duration, ok bool) {
	ms, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil {
		return 0, false
	}
	return time.Duration(min(max(ms, 0), MaxTimeout.Milliseconds())) * time.Millisecond, true
}

// FormatAttempt writes an attempt's number, from 1, and whether it is a hedge.
func FormatAttempt(number int, hedge bool) string {
	text := strconv.Itoa(max(1, number))
	if hedge {
		text += ";hedge"
	}
	return text
}

// ParseAttempt reads the number of an attempt, at least 1, and whether it is a hedge.
// It ignores parameters that it does not know.
func ParseAttempt(text string) (number int, hedge, ok bool) {
	first, parameters, _ := strings.Cut(text, ";")
	n, err := strconv.ParseUint(strings.TrimSpace(first), 10, 31)
	if err != nil || n == 0 {
		return 0, false, false
	}
	for parameter := range strings.SplitSeq(parameters, ";") {
		hedge = hedge || strings.EqualFold(strings.TrimSpace(parameter), "hedge")
	}
	return int(min(n, math.MaxInt32)), hedge, true
}

// Reason is why a server did not process a request.
type Reason string

// The reasons of a refusal.
const (
	// Overload: there are more requests than the server can take.
	Overload Reason = "overload"
	// Deadline: the request could not be done in the time that was left.
	Deadline Reason = "deadline"
	// Draining: the server is about to stop.
	Draining Reason = "draining"
)

// ParseReason reads a reason, in any case. A reason that it does not know is still a
// refusal: ok is false only for an empty text.
func ParseReason(text string) (r Reason, ok bool) {
	r = Reason(strings.ToLower(strings.TrimSpace(text)))
	return r, r != ""
}
