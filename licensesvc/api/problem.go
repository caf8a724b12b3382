package api

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/backstay-go/backstay/licensesvc/app"
	"github.com/backstay-go/backstay/licensesvc/license"
)

// Problem is an error in the format of RFC 9457, with fields that this service adds.
type Problem struct {
	Type    string `json:"type" format:"uri" doc:"Names the kind of problem, and is the address of its description."`
	Title   string `json:"title"`
	Status  int    `json:"status"`
	Detail  string `json:"detail" doc:"What happened and what to do."`
	Outcome string `json:"outcome" enum:"refused,unavailable,unknown,invalid,not_found,forbidden,error" doc:"unknown: it may have been carried out; send the same key again to find out."`
	Code    string `json:"code,omitempty" doc:"Why the rules refused."`
	Limit   int    `json:"limit,omitempty" doc:"The bound that was reached."`
	// Until is when a repeat of the command may succeed.
	Until      *time.Time   `json:"until,omitempty"`
	Dependency string       `json:"dependency,omitempty" doc:"What failed."`
	RetryAfter int          `json:"retry_after_s,omitempty"`
	DecidedOn  []Basis      `json:"decided_on,omitempty"`
	Errors     []FieldError `json:"errors,omitempty" doc:"The fields that can't be taken."`
	// Refused is set if the request was refused before it began, so that it can be sent again,
	// or elsewhere.
	Refused string `json:"refused,omitempty" enum:"overload,deadline,draining" doc:"Nothing was done: the request was refused before it began."`

	headers http.Header
}

// FieldError says what is wrong with one field.
type FieldError struct {
	Field   string `json:"field" doc:"Where it is, such as body.title."`
	Message string `json:"message" doc:"What is wrong, and what to give instead."`
}

// Error implements error.
func (p *Problem) Error() string { return p.Detail }

// GetStatus returns the HTTP status.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders returns the headers of the answer.
func (p *Problem) GetHeaders() http.Header { return p.headers }

// ContentType returns the media type of problem details.
func (p *Problem) ContentType(string) string { return problemType }

// problem turns an error into an answer. The cause of an internal error is only logged.
func (a *API) problem(ctx context.Context, err error) error {
	var refused *app.Refused
	var unavailable *app.Unavailable
	switch {
	case errors.As(err, &refused):
		p := problemOf(KindRefused, refusedStatus(refused.Code), refused.Detail)
		p.Code, p.Limit, p.DecidedOn = string(refused.Code), refused.Limit, on(refused.DecidedOn)
		if refused.Code == license.IDTaken {
			p.Type, p.Title = KindKeyTaken.Type(), KindKeyTaken.title()
		}
		if !refused.Until.IsZero() {
			p.Until = &refused.Until
		}
		return p
	case errors.As(err, &unavailable):
		kind := KindUnavailable
		if unavailable.Unknown {
			kind = KindUnknown
		}
		p := problemOf(kind, http.StatusServiceUnavailable, unavailable.Detail)
		p.Dependency, p.DecidedOn = unavailable.Dependency, on(unavailable.DecidedOn)
		return p.after(unavailable.Retry)
	case errors.Is(err, app.ErrInput):
		p := problemOf(KindInvalid, http.StatusUnprocessableEntity, "some fields can't be taken; see errors")
		for _, e := range flatten(err) {
			var in *app.InputError
			if errors.As(e, &in) {
				p.Errors = append(p.Errors, FieldError{Field: in.Field, Message: in.Detail})
			}
		}
		return p
	case errors.Is(err, app.ErrToken):
		return problemOf(KindForbidden, http.StatusForbidden, "the token can't be taken: "+withoutPackages(err))
	case errors.Is(err, errUnknownPage):
		return problemOf(KindNotFound, http.StatusNotFound, "after names no place in this list: give the next of an earlier page")
	case errors.Is(err, app.ErrNoVersion):
		return problemOf(KindNoVersion, http.StatusNotFound, withoutPackages(err))
	case errors.Is(err, app.ErrNotFound):
		return problemOf(KindNotFound, http.StatusNotFound, "the member has no such license")
	case ctx.Err() != nil:
		return problemOf(KindUnknown, http.StatusServiceUnavailable, "the deadline passed before an answer was known; send the same key again").after(time.Second)
	}
	a.log.ErrorContext(ctx, "request failed", "error", err)
	return problemOf(KindError, http.StatusInternalServerError, "the service failed; its log says why")
}

// after adds when a repeat is worthwhile, in whole seconds.
func (p *Problem) after(wait time.Duration) *Problem {
	p.RetryAfter = max(1, int((wait+time.Second-1)/time.Second))
	p.headers = http.Header{"Retry-After": {strconv.Itoa(p.RetryAfter)}}
	return p
}

// withoutPackages returns an error's text without the names of packages that it begins with.
func withoutPackages(err error) string {
	text := err.Error()
	for {
		name, rest, ok := strings.Cut(text, ": ")
		if !ok || name != "app" && name != "token" {
			return text
		}
		text = rest
	}
}

// write writes the problem as the answer to a request.
func (p *Problem) write(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	maps.Copy(h, p.headers)
	h.Set("Content-Type", problemType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	body, err := json.Marshal(p)
	if err != nil {
		body = []byte("{}") // Nothing in a problem can fail.
	}
	body = append(body, '\n')
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(p.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // If this fails, the caller has gone.
	}
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
