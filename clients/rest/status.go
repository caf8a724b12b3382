package rest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/backstay-go/backstay/clients/rest/internal/wire"
	"github.com/backstay-go/backstay/resilience"
)

// Headers that travel between services of ours.
const (
	// HeaderTimeout is what is left of the caller's deadline, in milliseconds.
	HeaderTimeout = wire.Timeout
	// HeaderCriticality is the call's class: critical_plus, critical, sheddable_plus or
	// sheddable.
	HeaderCriticality = wire.Criticality
	// HeaderAttempt counts from 1, with ";hedge" for a hedge; above 1 the request is
	// itself a repeat.
	HeaderAttempt = wire.Attempt
	// HeaderRefused marks an answer to a request that was not processed: overload,
	// deadline or draining.
	HeaderRefused = wire.Refused
)

var (
	// ErrTooLarge: the response has more bytes than the client takes.
	ErrTooLarge = errors.New("rest: response too large")
	// ErrStalled: nothing came for longer than the client waits.
	ErrStalled = errors.New("rest: response stalled")
)

// Problem is a problem document (RFC 9457). Members of the wrong type are ignored.
type Problem struct {
	Type, Title, Detail, Instance string
	// Members are all members, as they came.
	Members map[string]any
}

// StatusError is an answer that is not a success, of a typed call.
type StatusError struct {
	Method, URL string
	Status      int
	Header      http.Header
	// Problem is set if the answer is a problem document.
	Problem *Problem
	// Body is the beginning of the answer, at most 64 KiB.
	Body []byte

	verdict resilience.Verdict
}

// Error names method, address and status, and what the answer said.
func (e *StatusError) Error() string {
	text := strings.TrimSpace(string(e.Body[:min(len(e.Body), 200)]))
	if e.Problem != nil {
		text = strings.TrimSpace(e.Problem.Title + ": " + e.Problem.Detail)
	}
	return strings.TrimSuffix(fmt.Sprintf("rest: %s %s: status %d: %s", e.Method, e.URL, e.Status, text), ": ")
}

// Verdict implements resilience.Judged.
func (e *StatusError) Verdict() resilience.Verdict { return e.verdict }

// IsStatus reports whether an error is a StatusError with the status.
func IsStatus(err error, status int) bool {
	var s *StatusError
	return errors.As(err, &s) && s.Status == status
}

func problemOf(h http.Header, body []byte) *Problem {
	if kind, _, _ := strings.Cut(h.Get("Content-Type"), ";"); strings.TrimSpace(kind) != "application/problem+json" {
		return nil
	}
	var members map[string]any
	if json.Unmarshal(body, &members) != nil {
		return nil
	}
	text := func(name string) string { s, _ := members[name].(string); return s }
	return &Problem{Type: text("type"), Title: text("title"), Detail: text("detail"), Instance: text("instance"), Members: members}
}

// judge says what an answer's status means for the guard. ok is false for a success
// and for what is the caller's fault, which is no failure of the dependency.
func judge(status int, h http.Header, idempotent bool) (v resilience.Verdict, ok bool) {
	if status < http.StatusTooManyRequests {
		return answered, false
	}
	repeat := resilience.RepeatNever
	if idempotent {
		repeat = resilience.RepeatIfIdempotent
	}
	after := retryAfter(h, time.Now())
	refused := h.Get(HeaderRefused) != ""
	switch {
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable && (refused || h.Get("Retry-After") != ""):
		if refused {
			repeat = resilience.RepeatAlways
		}
		return resilience.Verdict{Outcome: resilience.Overload, Repeat: repeat, After: after}, true
	case status >= http.StatusInternalServerError && status != http.StatusNotImplemented && status != http.StatusHTTPVersionNotSupported:
		return resilience.Verdict{Outcome: resilience.Failure, Repeat: repeat, After: after}, true
	}
	return answered, false
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
