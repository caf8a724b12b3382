package rest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/backstay-go/backstay/resilience"
)

var (
	// ErrTooLarge: the response has more bytes than the client takes.
	ErrTooLarge = errors.New("rest: response too large")
	// ErrStalled: no byte of the response came for longer than Stall. It is a timeout.
	ErrStalled error = stalled{}
)

type stalled struct{}

func (stalled) Error() string { return "rest: response stalled" }
func (stalled) Timeout() bool { return true }

// SendError is the error of a request that got no answer, or an answer that can't be used.
// It is a net.Error.
type SendError struct {
	Method, URL string
	// Sent says that the server may have processed it.
	Sent bool
	// Status and ContentType are those of an answer that can't be used; 0 and "": there was
	// no answer.
	Status      int
	ContentType string
	// Err is what happened; it unwraps to it.
	Err error

	verdict resilience.Verdict
}

var _ net.Error = (*SendError)(nil)

// Error names method and address, and whether the request may have been processed, or
// which answer could not be used.
func (e *SendError) Error() string {
	what := "was not sent"
	switch {
	case e.Status != 0:
		kind := e.ContentType
		if kind == "" {
			kind = "no Content-Type"
		}
		what = fmt.Sprintf("got an answer (%d, %s) that can't be used", e.Status, kind)
	case e.Sent && isSafeMethod(e.Method):
		what = "got no answer"
	case e.Sent:
		what = "may have been processed"
	}
	method := e.Method
	if method == "" {
		method = http.MethodGet
	}
	return fmt.Sprintf("rest: %s %s %s: %v", method, e.URL, what, e.Err)
}

// Unwrap returns the cause.
func (e *SendError) Unwrap() error { return e.Err }

// Verdict implements resilience.Judged.
func (e *SendError) Verdict() resilience.Verdict { return e.verdict }

// ErrorType is the error.type of OpenTelemetry: timeout, stalled, too_large, canceled,
// unusable_answer, or what package net calls the operation that failed.
func (e *SendError) ErrorType() string { return errorType(e.Err, e.Status) }

// Timeout implements net.Error: it says whether the time was up, the caller's or the
// guard's, or the answer stalled.
func (e *SendError) Timeout() bool { return isTimeout(e.Err) }

// Temporary implements net.Error. It returns what Timeout does, because the standard
// library has deprecated every other meaning.
func (e *SendError) Temporary() bool { return e.Timeout() }

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &t) && t.Timeout()
}

// errorType names the kind of an error that came without an answer, or with one that can't
// be used.
func errorType(err error, status int) string {
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case errors.Is(err, ErrTooLarge):
		return "too_large"
	case errors.Is(err, ErrStalled):
		return "stalled"
	case isTimeout(err):
		return "timeout"
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.As(err, &dns):
		return "dns"
	case errors.As(err, &op):
		return op.Op
	case status != 0:
		return "unusable_answer"
	}
	return "_OTHER"
}

// endedError is an error that resulted from the end of an attempt, together with the
// reason why the attempt ended.
type endedError struct{ cause, err error }

func (e *endedError) Error() string   { return e.cause.Error() + ": " + e.err.Error() }
func (e *endedError) Unwrap() []error { return []error{e.cause, e.err} }
func (e *endedError) Timeout() bool   { return isTimeout(e.cause) || isTimeout(e.err) }

// explain puts the reason why an attempt was ended before the error that resulted from
// it.
func (a *attempt) explain(err error) error {
	cause := a.Cause()
	switch {
	case cause == nil || cause == context.Canceled || errors.Is(err, cause):
		return err
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return cause
	}
	return &endedError{cause, err}
}

// unsendable is the error of a request that can't be sent. It is the caller's.
func unsendable(method, url string, err error) *SendError {
	return &SendError{Method: method, URL: url, Err: err, verdict: unheard}
}

// streamError is the type as which net/http's HTTP/2 errors can be read by errors.As.
type streamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

func (e streamError) Error() string { return fmt.Sprintf("stream %d: code %d", e.StreamID, e.Code) }

const refusedStream = 7 // RFC 9113, section 7

// notProcessed recognizes the errors by which HTTP/2 says that a request was not
// processed: a refused stream, and a GOAWAY that names an earlier stream as the last
// one. Of the latter net/http keeps only the text.
func notProcessed(err error) bool {
	if stream := (streamError{}); errors.As(err, &stream) {
		return stream.Code == refusedStream
	}
	return strings.Contains(err.Error(), "server sent GOAWAY and closed the connection; LastStreamID=0,")
}

// malformed holds the beginnings of the error texts with which net/http refuses a
// request. net/http marks these errors in no other way.
var malformed = []string{
	"net/http: invalid ", "http: nil ", "http: no Host", "http: invalid", "http: ContentLength=", "http: Request.ContentLength=",
	"http: Request.Header", "unsupported protocol scheme", "http2: unsupported scheme", "http2: request body larger",
	"http2: invalid ", "invalid Upgrade request header", "invalid Connection request header", "invalid Transfer-Encoding request header",
	"invalid request :path", "invalid Trailer key", "invalid HTTP header", "invalid HTTP trailer",
}

// isMalformed recognizes the errors of requests that can't be sent at all.
func isMalformed(err error) bool {
	if address := (*net.AddrError)(nil); errors.As(err, &address) {
		return true // a port or an address that can't be one
	}
	for err != nil {
		text := err.Error()
		for _, start := range malformed {
			if strings.HasPrefix(text, start) {
				return true
			}
		}
		err = errors.Unwrap(err)
	}
	return false
}

// shown returns an address without the parts that may be secret.
func shown(r *http.Request) string {
	u := *r.URL
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}
