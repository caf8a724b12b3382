package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"go.opentelemetry.io/otel/trace"

	"github.com/backstay-go/backstay/licensesvc/app"
)

// OfMember names a member, and the key that makes a command safe to send again. It
// is exported because huma reads no others that are embedded.
type OfMember struct {
	Member string `path:"member" doc:"The member's id."`
	Key    string `header:"Idempotency-Key" doc:"New for a new command, the same when it is sent again. Required."`
}

// OfLicense names a license besides.
type OfLicense struct {
	OfMember
	License string `path:"license" doc:"The license's id."`
}

type requestInput struct {
	OfMember
	Body struct {
		Device string `json:"device" doc:"The device that will hold the download."`
		Title  string `json:"title" doc:"The title."`
	}
}

type renewInput struct{ OfLicense }

type reportInput struct {
	OfLicense
	Body *struct {
		Occurred *time.Time `json:"occurred,omitempty" doc:"When it happened, if the device was offline then. Left out: it happens now."`
	}
}

func (in reportInput) input(ctx context.Context) app.ReportInput {
	r := app.ReportInput{Member: in.Member, License: in.License, Key: in.Key, Meta: meta(ctx)}
	if in.Body != nil && in.Body.Occurred != nil {
		r.Occurred = *in.Body.Occurred
	}
	return r
}

type revokeInput struct {
	OfLicense
	Body struct {
		Reason string `json:"reason" minLength:"1" maxLength:"200" doc:"Why, for the record."`
	}
}

type redeemInput struct {
	Member string `path:"member"`
	Body   struct {
		Token string `json:"token" doc:"The signed promise that the device holds."`
	}
}

type answered struct {
	Status   int
	Location string `header:"Location"`
	ETag     string `header:"ETag"`
	Body     Answer
}

const licensePath = "/v1/members/{member}/licenses/{license}"

// commands registers what changes something.
func (a *API) commands(h huma.API) {
	huma.Register(h, a.operation("request-license", "Request a license", http.MethodPost, "/v1/members/{member}/licenses", Write, http.StatusCreated),
		func(ctx context.Context, in *requestInput) (*answered, error) {
			note(ctx).Title = in.Body.Title
			answer, err := a.app.Request(ctx, app.RequestInput{Member: in.Member, Device: in.Body.Device, Title: in.Body.Title, Key: in.Key, Meta: meta(ctx)})
			return a.answer(ctx, in.Member, http.StatusCreated, answer, err)
		})
	huma.Register(h, a.operation("renew-license", "Renew a license", http.MethodPost, licensePath+"/renewals", Write, http.StatusOK),
		func(ctx context.Context, in *renewInput) (*answered, error) {
			answer, err := a.app.Renew(ctx, app.RenewInput{Member: in.Member, License: in.License, Key: in.Key, Meta: meta(ctx)})
			return a.answer(ctx, in.Member, http.StatusOK, answer, err)
		})
	for _, report := range []struct {
		id, summary, path string
		run               func(context.Context, app.ReportInput) (app.Answer, error)
	}{
		{"report-download", "Tell that the device has the file", "/downloads", a.app.Download},
		{"play", "Ask whether a play may begin, or tell of one that began offline", "/plays", a.app.Play},
		{"release-license", "Give a license back", "/release", a.app.Release},
	} {
		huma.Register(h, a.operation(report.id, report.summary, http.MethodPost, licensePath+report.path, Write, http.StatusOK),
			func(ctx context.Context, in *reportInput) (*answered, error) {
				answer, err := report.run(ctx, in.input(ctx))
				return a.answer(ctx, in.Member, http.StatusOK, answer, err)
			})
	}
	huma.Register(h, a.operation("revoke-license", "End a license against the member's wish", http.MethodPost, licensePath+"/revocation", Admin, http.StatusOK),
		func(ctx context.Context, in *revokeInput) (*answered, error) {
			answer, err := a.app.Revoke(ctx, app.ReportInput{Member: in.Member, License: in.License, Key: in.Key, Meta: meta(ctx)}, in.Body.Reason)
			return a.answer(ctx, in.Member, http.StatusOK, answer, err)
		})
	huma.Register(h, a.operation("redeem-token", "Bring back the promise of a provisional license", http.MethodPost, "/v1/members/{member}/tokens", Write, http.StatusOK),
		func(ctx context.Context, in *redeemInput) (*answered, error) {
			answer, err := a.app.Redeem(ctx, in.Member, in.Body.Token, meta(ctx))
			return a.answer(ctx, in.Member, http.StatusOK, answer, err)
		})
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
	out := &answered{Status: status, ETag: etag(answer.Version, nil), Body: answerOf(answer)}
	if status == http.StatusCreated || status == http.StatusAccepted {
		out.Location = "/v1/members/" + member + "/licenses/" + answer.License.ID
	}
	return out, nil
}

// refuse notes what came of a request that failed.
func (a *API) refuse(ctx context.Context, err error) error {
	err = a.problem(ctx, err)
	if p, ok := err.(*Problem); ok {
		n := note(ctx)
		n.Outcome, n.On = p.Outcome, p.DecidedOn
	}
	return err
}

// meta is what is recorded with a command.
func meta(ctx context.Context) app.Meta {
	m := app.Meta{Actor: actor(ctx)}
	if sc := trace.SpanContextFromContext(ctx); sc.HasTraceID() {
		m.Trace = sc.TraceID().String()
	}
	return m
}
