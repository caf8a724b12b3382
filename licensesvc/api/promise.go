package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/backstay-go/backstay/licensesvc/readmodel"
)

type redeemInput struct {
	Member string `path:"member" minLength:"1" maxLength:"64" pattern:"^[!-~]*[!-\\-/-~][!-~]*$" patternDescription:"visible ASCII characters, not only dots" doc:"The member's id."`
	Body   struct {
		Token string `json:"token" pattern:"^[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]+$" patternDescription:"three parts of base64url, joined by dots" maxLength:"8192" doc:"The signed promise that the device holds."`
	}
}

func (a *API) promises(h huma.API) {
	huma.Register(h, a.operation(h, "redeem-token", "Bring back the promise of a provisional license", http.MethodPost, "/v1/members/{member}/tokens", Write, http.StatusOK, http.StatusAccepted),
		func(ctx context.Context, in *redeemInput) (*answered, error) {
			answer, err := a.app.Redeem(ctx, in.Member, in.Body.Token, meta(ctx))
			return a.answer(ctx, in.Member, http.StatusOK, answer, err)
		})
}

// PromisedLicense is a license that was promised while the store failed, and what became of it.
type PromisedLicense struct {
	Member   string            `json:"member"`
	License  string            `json:"license"`
	Device   string            `json:"device"`
	Title    string            `json:"title"`
	Studio   string            `json:"studio"`
	Promised time.Time         `json:"promised"`
	Expires  time.Time         `json:"expires" doc:"When the promise ends, if it is not confirmed."`
	Over     []string          `json:"over" doc:"The limits that it exceeded, as the reconciliation found."`
	Outcome  readmodel.Outcome `json:"outcome" enum:"open,confirmed,ended,given_back,expired"`
	Settled  *time.Time        `json:"settled,omitempty" doc:"When the outcome was decided."`
	Reason   string            `json:"reason,omitempty" doc:"Why it ended."`
}

// PromisedLicenses are promises, the oldest first.
type PromisedLicenses struct {
	Promises []PromisedLicense `json:"promises"`
	Viewed
}

type promisedInput struct {
	Since time.Time `query:"since" doc:"Only promises that were made after it; default: all."`
	After string    `query:"after" maxLength:"1000" doc:"The next of the page before."`
	Limit int       `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

// promised registers the list of promises that have reached the store. Those that wait in the outbox
// are not in it.
func (a *API) promised(h huma.API) {
	huma.Register(h, a.operation(h, "list-promises", "Promises and what became of them, the oldest first", http.MethodGet, "/v1/promises", Operate, http.StatusOK),
		func(ctx context.Context, in *promisedInput) (*struct{ Body PromisedLicenses }, error) {
			since, stream, id := in.Since, "", ""
			if err := a.goOn(ctx, in.After, &since, &stream, &id); err != nil {
				return nil, err
			}
			rows, f, err := a.read.PromisesSince(ctx, since, stream, id, in.Limit)
			if err != nil {
				return nil, a.viewProblem(ctx, err)
			}
			body := PromisedLicenses{Promises: []PromisedLicense{}, Viewed: viewed(ctx, f)}
			for _, p := range rows {
				shown := PromisedLicense{Member: memberOf(p.Stream), License: p.License, Device: p.Device, Title: p.Title, Studio: p.Studio, Promised: p.Promised, Expires: p.Expires,
					Over: p.Over, Outcome: p.Outcome, Reason: p.Reason}
				if !p.Settled.IsZero() {
					shown.Settled = &p.Settled
				}
				body.Promises = append(body.Promises, shown)
			}
			if n := len(rows); n == in.Limit {
				body.Next = placeOf(rows[n-1].Promised, rows[n-1].Stream, rows[n-1].License)
			}
			return &struct{ Body PromisedLicenses }{body}, nil
		})
}
