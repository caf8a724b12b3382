package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/backstay-go/backstay/licensesvc/app"
)

type reportInput struct {
	OfLicense
	Body *struct {
		Occurred *time.Time `json:"occurred,omitempty" doc:"When it happened, if the device was offline then. Left out: it happens now."`
	}
}

func (in reportInput) input(ctx context.Context) app.ReportInput {
	r := app.ReportInput{Member: in.Member, License: in.License, Key: in.Key, Meta: meta(ctx)}
	if in.Body != nil && in.Body.Occurred != nil {
		r.Occurred = in.Body.Occurred.UTC()
	}
	return r
}

type revokeInput struct {
	OfLicense
	Body struct {
		Reason string `json:"reason" minLength:"1" maxLength:"200" pattern:"\\S" patternDescription:"not only spaces" doc:"Why, for the record."`
	}
}

// reports registers the requests with which a device reports events of a license, and its
// revocation.
func (a *API) reports(h huma.API) {
	for _, report := range []struct {
		id, summary, path string
		run               func(context.Context, app.ReportInput) (app.Answer, error)
	}{
		{"report-download", "Tell that the device has the file", "/downloads", a.app.Download},
		{"play", "Ask whether a play may begin, or tell of one that began offline", "/plays", a.app.Play},
		{"release-license", "Give a license back", "/release", a.app.Release},
	} {
		huma.Register(h, a.operation(h, report.id, report.summary, http.MethodPost, licensePath+report.path, Write, http.StatusOK, http.StatusAccepted),
			func(ctx context.Context, in *reportInput) (*answered, error) {
				answer, err := report.run(ctx, in.input(ctx))
				return a.answer(ctx, in.Member, http.StatusOK, answer, err)
			})
	}
	huma.Register(h, a.operation(h, "revoke-license", "End a license against the member's wish", http.MethodPost, licensePath+"/revocation", Admin, http.StatusOK, http.StatusAccepted),
		func(ctx context.Context, in *revokeInput) (*answered, error) {
			answer, err := a.app.Revoke(ctx, app.ReportInput{Member: in.Member, License: in.License, Key: in.Key, Meta: meta(ctx)}, in.Body.Reason)
			return a.answer(ctx, in.Member, http.StatusOK, answer, err)
		})
}
