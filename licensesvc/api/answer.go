package api

import (
	"context"
	"net/http"
	"net/url"

	"go.opentelemetry.io/otel/trace"

	"github.com/backstay-go/backstay/licensesvc/app"
)

// OfMember has the member's name and the key that makes a command safe to send again. It is
// exported because huma ignores embedded types that are not.
type OfMember struct {
	Member string `path:"member" minLength:"1" maxLength:"64" pattern:"^[!-~]*[!-\\-/-~][!-~]*$" patternDescription:"visible ASCII characters, not only dots" doc:"The member's id."`
	Key    string `header:"Idempotency-Key" required:"true" minLength:"1" maxLength:"255" pattern:"^[!-~]+$" patternDescription:"visible ASCII characters" doc:"New for a new command, the same when it is sent again, such as a UUID."`
}

// OfLicense also has the name of a license.
type OfLicense struct {
	OfMember
	License string `path:"license" minLength:"1" maxLength:"64" pattern:"^[!-~]*[!-\\-/-~][!-~]*$" patternDescription:"visible ASCII characters, not only dots" doc:"The license's id."`
}

const licensePath = "/v1/members/{member}/licenses/{license}"

type answered struct {
	Status   int
	Location string `header:"Location"`
	ETag     string `header:"ETag"`
	Body     Answer
}

func (a *API) answer(ctx context.Context, member string, status int, answer app.Answer, err error) (*answered, error) {
	if err != nil {
		return nil, a.refuse(ctx, err)
	}
	n := note(ctx)
	n.License, n.Title, n.Outcome, n.On = answer.License.ID, answer.License.Title, string(answer.Outcome), answer.DecidedOn
	if answer.Outcome != app.Done {
		status = http.StatusAccepted
	} else if answer.Repeated {
		status = http.StatusOK
	}
	out := &answered{Status: status, ETag: licenseTag(answer), Body: answerOf(answer)}
	if status == http.StatusCreated || status == http.StatusAccepted {
		out.Location = "/v1/members/" + url.PathEscape(member) + "/licenses/" + url.PathEscape(answer.License.ID)
	}
	return out, nil
}

// refuse records the outcome of a request that failed.
func (a *API) refuse(ctx context.Context, err error) error {
	err = a.problem(ctx, err)
	if p, ok := err.(*Problem); ok {
		n := note(ctx)
		n.Outcome, n.Code, n.On = p.Outcome, p.Code, p.DecidedOn
		trace.SpanFromContext(ctx).SetAttributes(messageKey.String(p.Detail))
	}
	return err
}

// meta returns what is recorded with a command.
func meta(ctx context.Context) app.Meta {
	m := app.Meta{Actor: CallerOf(ctx).Actor}
	if sc := trace.SpanContextFromContext(ctx); sc.HasTraceID() {
		m.Trace = sc.TraceID().String()
	}
	return m
}
