package rest

import (
	"net/http"

	"github.com/backstay-go/backstay/resilience"
)

// account says who is responsible for a request without an answer.
//
// Nothing that a caller sends, withholds or forgets counts against a dependency: a
// request that can't be sent, a body that breaks off or is late, a request that the
// caller took back, connections that other callers have not given back. (The guard
// judges the end of the caller's context, because it knows how much time the policy
// grants.) Everything else counts against the dependency. That includes an error that
// only looks like the caller's, such as a context.Canceled that the dependency caused.
type account uint8

const (
	ofDependency account = iota // the usual case: DefaultClassifier judges the error
	ofCaller                    // the request is invalid, broke off, or was taken back
	ofWaiting                   // nothing was sent to the dependency
)

// unheard is the verdict on a request that says nothing about the dependency, not even
// that it is alive.
var unheard = resilience.Verdict{Outcome: resilience.Ignored}

// verdicts are the verdicts for the accounts.
var verdicts = map[account]resilience.Verdict{
	ofCaller:  unheard,
	ofWaiting: unheard,
}

// account determines why an attempt has ended without an answer.
func (a *attempt) account(r *http.Request, err error) account {
	switch {
	case isMalformed(err), isTakenBack(r), a.upload.isCallers(a.began, isTimeout(err)):
		return ofCaller
	case a.hasWaited():
		return ofWaiting
	}
	return ofDependency
}

// isTakenBack reports whether the caller has closed Request.Cancel.
func isTakenBack(r *http.Request) bool {
	//lint:ignore SA1019 callers still set it
	cancel := r.Cancel
	select {
	case <-cancel:
		return true
	default:
		return false
	}
}

// hasWaited reports whether an attempt that has ended only waited for a connection, or
// for a stream of HTTP/2, while other requests used them all.
func (a *attempt) hasWaited() bool {
	switch {
	case a.waited.Load():
		return true
	case a.Cause() == nil || a.sent.Load() || !a.seesDials.Load():
		return false
	}
	return !a.dialled.Load()
}

// failed judges a request without an answer. again says whether its body can be sent
// again, repeatable whether the request may be sent again.
func (a *attempt) failed(r *http.Request, err error, again, repeatable bool) *SendError {
	err = a.explain(err)
	e := &SendError{Method: r.Method, URL: shown(r), Sent: a.sent.Load() && !a.unprocessed.Load() && !notProcessed(err), Err: err}
	v, known := verdicts[a.account(r, err)]
	if !known {
		v = resilience.DefaultClassifier(err)
	}
	if v.Outcome == resilience.Failure && (a.unprocessed.Load() || notProcessed(err)) {
		v.Outcome = resilience.Overload // a refusal, as HTTP/2 marks it
	}
	switch {
	case known, v.Repeat == resilience.RepeatNever:
	case !again:
		v.Repeat = resilience.RepeatNever
	case !e.Sent && v.Outcome != resilience.Ignored:
		v.Repeat = resilience.RepeatAlways
	case !repeatable:
		v.Repeat = resilience.RepeatNever
	}
	e.verdict = v
	return e
}
