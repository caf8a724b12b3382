package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/backstay-go/backstay/licensesvc/app"
	"github.com/backstay-go/backstay/licensesvc/license"
)

// Problem is an error in the format of RFC 9457, with fields that this service adds.
type Problem struct {
	Type   string `json:"type" doc:"about:blank, or names the kind of problem."`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail" doc:"What happened and what to do."`
	// Outcome is refused, unavailable, unknown, invalid, not_found or error.
	Outcome string `json:"outcome" enum:"refused,unavailable,unknown,invalid,not_found,forbidden,error" doc:"unknown: it may have been carried out; send the same key again to find out."`
	Code    string `json:"code,omitempty" doc:"Why the rules refused."`
	Limit   int    `json:"limit,omitempty" doc:"The bound that was reached."`
	// Until is when a repeat of the command may succeed.
	Until      *time.Time          `json:"until,omitempty"`
	Dependency string              `json:"dependency,omitempty" doc:"What failed."`
	RetryAfter int                 `json:"retry_after_s,omitempty"`
	DecidedOn  []Basis             `json:"decided_on,omitempty"`
	Errors     []*huma.ErrorDetail `json:"errors,omitempty" doc:"The fields that can't be taken."`

	headers http.Header
}

// Error implements error.
func (p *Problem) Error() string { return p.Detail }

// GetStatus returns the HTTP status.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders returns the headers of the answer.
func (p *Problem) GetHeaders() http.Header { return p.headers }

// ContentType returns the media type of problem details.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// problem turns an error into an answer. The cause of an internal error is only logged.
func (a *API) problem(ctx context.Context, err error) error {
	var refused *app.Refused
	var unavailable *app.Unavailable
	switch {
	case errors.As(err, &refused):
		p := &Problem{Status: refusedStatus(refused.Code), Detail: refused.Detail, Outcome: OutcomeRefused, Code: string(refused.Code), Limit: refused.Limit, DecidedOn: on(refused.DecidedOn)}
		if !refused.Until.IsZero() {
			p.Until = &refused.Until
		}
		return p.titled("refused by the rules")
	case errors.As(err, &unavailable):
		seconds := max(1, int((unavailable.Retry+time.Second-1)/time.Second))
		p := &Problem{Status: http.StatusServiceUnavailable, Detail: unavailable.Detail, Outcome: OutcomeUnavailable, Dependency: unavailable.Dependency,
			RetryAfter: seconds, DecidedOn: on(unavailable.DecidedOn), headers: http.Header{"Retry-After": {strconv.Itoa(seconds)}}}
		if unavailable.Unknown {
			p.Outcome = OutcomeUnknown
		}
		return p.titled("a dependency failed")
	case errors.Is(err, app.ErrInput):
		p := &Problem{Status: http.StatusUnprocessableEntity, Outcome: OutcomeInvalid, Detail: "some fields can't be taken; see errors"}
		for _, e := range flatten(err) {
			var in *app.InputError
			if errors.As(e, &in) {
				p.Errors = append(p.Errors, &huma.ErrorDetail{Location: in.Field, Message: in.Detail})
			}
		}
		return p.titled("invalid request")
	case errors.Is(err, app.ErrToken):
		return (&Problem{Status: http.StatusUnprocessableEntity, Outcome: OutcomeInvalid, Detail: err.Error()}).titled("invalid token")
	case errors.Is(err, app.ErrNotFound):
		return (&Problem{Status: http.StatusNotFound, Outcome: OutcomeNotFound, Detail: "the member has no such license"}).titled("not found")
	case ctx.Err() != nil:
		return (&Problem{Status: http.StatusServiceUnavailable, Outcome: OutcomeUnknown, RetryAfter: 1, headers: http.Header{"Retry-After": {"1"}},
			Detail: "the deadline passed before an answer was known; send the same key again"}).titled("out of time")
	}
	a.log.ErrorContext(ctx, "request failed", "error", err)
	return (&Problem{Status: http.StatusInternalServerError, Outcome: OutcomeError, Detail: "the service failed; its log says why"}).titled("internal error")
}

func (p *Problem) titled(title string) *Problem {
	p.Type, p.Title = "about:blank", title
	return p
}

func refusedStatus(c license.Code) int {
	switch c {
	case license.NotFound:
		return http.StatusNotFound
	case license.TitleUnknown:
		return http.StatusNotFound
	case license.MembershipUnknown, license.MembershipSuspended, license.PlanWithoutDownload, license.TitleNotOffline:
		return http.StatusForbidden
	case license.Invalid, license.IDTaken:
		return http.StatusUnprocessableEntity
	}
	return http.StatusConflict
}

// flatten returns the errors that were joined.
func flatten(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, e := range joined.Unwrap() {
			all = append(all, flatten(e)...)
		}
		return all
	}
	return []error{err}
}
