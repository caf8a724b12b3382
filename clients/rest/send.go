package rest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"time"

	"github.com/backstay-go/backstay/clients/rest/internal/wire"
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

// errRepeated stops the standard transport's own repeats: they are not in the budget.
var errRepeated = errors.New("rest: the connection died on use, and the guard decides about repeats")

// idempotent says whether a request may be sent twice by what it is.
func idempotent(r *http.Request) bool {
	switch r.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	return r.Header.Get("Idempotency-Key") != ""
}

// resendable says whether the body can be sent again.
func resendable(r *http.Request) bool {
	return r.Body == nil || r.Body == http.NoBody || r.GetBody != nil
}

// attempt is one request on its way. Its context belongs to it: it ends with the
// guard's attempt until keep, and with the caller's context after.
type attempt struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	leave  func() bool
	sent   atomic.Bool
	conns  atomic.Int32
}

// begin makes an attempt's context from the guard's, which ends when the call returns,
// and the caller's, which a response's body may live under.
func begin(guarded, caller context.Context) *attempt {
	a := &attempt{}
	ctx, cancel := context.WithCancelCause(caller)
	a.cancel = cancel
	a.leave = context.AfterFunc(guarded, func() { cancel(context.Cause(guarded)) })
	a.ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) {
			if a.conns.Add(1) > 1 {
				cancel(errRepeated)
			}
		},
		WroteHeaders: func() { a.sent.Store(true) },
	})
	return a
}

// request is the request as it is sent: number counts from 1.
func (a *attempt) request(r *http.Request, quiet bool, guarded context.Context) (*http.Request, error) {
	info, _ := resilience.AttemptFrom(guarded)
	out := r.WithContext(a.ctx)
	// Values are shared with the caller's headers: nothing below changes them.
	out.Header = make(http.Header, len(r.Header)+3)
	maps.Copy(out.Header, r.Header)
	if info.Number > 1 && r.Body != nil && r.Body != http.NoBody {
		if r.GetBody == nil {
			return nil, errors.New("the body can't be sent again")
		}
		body, err := r.GetBody()
		if err != nil {
			return nil, err
		}
		out.Body = body
	}
	if quiet {
		return out, nil
	}
	if deadline, ok := guarded.Deadline(); ok {
		out.Header.Set(HeaderTimeout, wire.FormatTimeout(time.Until(deadline)))
	}
	if info.Number > 0 {
		out.Header.Set(HeaderAttempt, wire.FormatAttempt(info.Number, info.Hedged))
		out.Header.Set(HeaderCriticality, wire.FormatCriticality(info.Criticality))
	}
	return out, nil
}

// failed judges a request without an answer.
func (a *attempt) failed(r *http.Request, err error, repeatable bool) error {
	if cause := context.Cause(a.ctx); cause != nil && !errors.Is(err, cause) {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	e := &SendError{Method: r.Method, URL: shown(r), Sent: a.sent.Load() && !notProcessed(err), Err: err}
	v := resilience.DefaultClassifier(err)
	switch {
	case !resendable(r):
		v.Repeat = resilience.RepeatNever
	case !e.Sent && v.Outcome == resilience.Failure:
		v.Repeat = resilience.RepeatAlways
	case !repeatable:
		v.Repeat = resilience.RepeatNever
	}
	e.verdict = v
	return e
}

// notProcessed knows the errors by which HTTP/2 says that a request was not processed.
func notProcessed(err error) bool {
	text := err.Error()
	return strings.Contains(text, "REFUSED_STREAM") || strings.Contains(text, "server sent GOAWAY and closed the connection; LastStreamID=0")
}

// shown is an address without what may be secret.
func shown(r *http.Request) string {
	u := *r.URL
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}

const (
	drainBytes = 64 << 10
	drainTime  = 50 * time.Millisecond
)

// discard reads what is left of a body, so that its connection can be used again,
// within a bound of bytes and time; then it closes it.
func discard(body io.ReadCloser, cancel context.CancelCauseFunc) {
	if body == nil || body == http.NoBody {
		return
	}
	t := time.AfterFunc(drainTime, func() { cancel(errors.New("rest: a discarded body took too long")) })
	// Errors mean that the connection is not used again.
	_, _ = io.CopyN(io.Discard, body, drainBytes)
	t.Stop()
	_ = body.Close()
}
