package rest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/backstay-go/backstay/resilience"
)

// SendError is a request that got no answer.
type SendError struct {
	Method, URL string
	// Sent says that the server may have processed it.
	Sent bool
	// Err is what happened; it unwraps to it.
	Err error

	verdict resilience.Verdict
}

// Error names method and address, and whether the request may have been processed.
func (e *SendError) Error() string {
	what := "was not sent"
	if e.Sent {
		what = "may have been processed"
	}
	return fmt.Sprintf("rest: %s %s %s: %v", e.Method, e.URL, what, e.Err)
}

// Unwrap returns the cause.
func (e *SendError) Unwrap() error { return e.Err }

// Verdict implements resilience.Judged.
func (e *SendError) Verdict() resilience.Verdict { return e.verdict }

// explain puts the reason that an attempt was ended for before the error that came of
// it.
func (a *attempt) explain(err error) error {
	why := a.why()
	switch {
	case why == nil || why == context.Canceled || errors.Is(err, why):
		return err
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return why
	}
	return fmt.Errorf("%w: %w", why, err)
}

// failed judges a request without an answer.
func (a *attempt) failed(r *http.Request, err error, repeatable bool) *SendError {
	err = a.explain(err)
	e := &SendError{Method: r.Method, URL: shown(r), Sent: a.sent.Load() && !a.unprocessed.Load() && !notProcessed(err), Err: err}
	v := resilience.DefaultClassifier(err)
	switch {
	case isMalformed(err):
		v = resilience.Verdict{Outcome: resilience.Ignored, Repeat: resilience.RepeatNever}
	case !resendable(r):
		v.Repeat = resilience.RepeatNever
	case !e.Sent && v.Outcome != resilience.Ignored:
		v.Repeat = resilience.RepeatAlways
	case !repeatable:
		v.Repeat = resilience.RepeatNever
	}
	e.verdict = v
	return e
}

// streamError is what net/http's HTTP/2 errors let themselves be taken for.
type streamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

func (e streamError) Error() string { return fmt.Sprintf("stream %d: code %d", e.StreamID, e.Code) }

const refusedStream = 7 // RFC 9113, section 7

// notProcessed knows the errors by which HTTP/2 says that a request was not processed:
// a refused stream, and a farewell (GOAWAY) that names an earlier stream as the last, of
// which net/http keeps nothing but the text.
func notProcessed(err error) bool {
	if stream := (streamError{}); errors.As(err, &stream) {
		return stream.Code == refusedStream
	}
	return strings.Contains(err.Error(), "server sent GOAWAY and closed the connection; LastStreamID=0,")
}

// isMalformed knows the errors of requests that can't be sent at all.
func isMalformed(err error) bool {
	text := err.Error()
	for _, start := range []string{"net/http: invalid ", "http: nil ", "http: no Host", "http: invalid", "unsupported protocol scheme"} {
		if strings.HasPrefix(text, start) {
			return true
		}
	}
	return false
}

// shown is an address without what may be secret.
func shown(r *http.Request) string {
	u := *r.URL
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}
