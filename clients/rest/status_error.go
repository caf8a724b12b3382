package rest

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/backstay-go/backstay/resilience"
)

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
		text = e.Problem.Error()
	}
	whom := "rest: "
	if e.URL != "" {
		whom += e.Method + " " + e.URL + ": "
	}
	return strings.TrimSuffix(fmt.Sprintf("%sstatus %d: %s", whom, e.Status, text), ": ")
}

// Unwrap returns the problem document, if there is one, so that errors.As finds it.
func (e *StatusError) Unwrap() error {
	if e.Problem == nil {
		return nil
	}
	return e.Problem
}

// ErrorType is the error.type of OpenTelemetry: the status.
func (e *StatusError) ErrorType() string { return strconv.Itoa(e.Status) }

// Verdict implements resilience.Judged.
func (e *StatusError) Verdict() resilience.Verdict { return e.verdict }

// IsStatus reports whether an error is a StatusError with the status.
func IsStatus(err error, status int) bool {
	var s *StatusError
	return errors.As(err, &s) && s.Status == status
}

// Check returns nil for an answer that is a success (2xx), and a *StatusError with what
// the answer says otherwise: then it reads at most 64 KiB of the body and closes it. It
// is for users of Transport; typed calls do it by themselves.
func Check(r *http.Response) error {
	if r.StatusCode >= 200 && r.StatusCode <= 299 {
		return nil
	}
	e := &StatusError{Status: r.StatusCode, Header: r.Header}
	if r.Request != nil && r.Request.URL != nil {
		e.Method, e.URL = r.Request.Method, shown(r.Request)
	}
	if r.Body != nil {
		e.Body, _ = io.ReadAll(io.LimitReader(r.Body, drainBytes)) // what arrived is reported
		_ = r.Body.Close()
	}
	e.Problem = problemOf(r.Header, e.Body)
	e.verdict = asError(judge(r.StatusCode, r.Header, false))
	return e
}
