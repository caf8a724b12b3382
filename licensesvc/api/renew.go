package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/backstay-go/backstay/licensesvc/app"
)

type renewInput struct {
	OfLicense
	Country string `query:"country" pattern:"^[A-Z]{2}$" patternDescription:"two upper-case letters" doc:"Where the device is now. Not given: where it was before."`
}

func (a *API) renewals(h huma.API) {
	huma.Register(h, a.operation(h, "renew-license", "Renew a license", http.MethodPost, licensePath+"/renewals", Write, http.StatusOK, http.StatusAccepted),
		func(ctx context.Context, in *renewInput) (*answered, error) {
			answer, err := a.app.Renew(ctx, app.RenewInput{Member: in.Member, License: in.License, Country: in.Country, Key: in.Key, Meta: meta(ctx)})
			return a.answer(ctx, in.Member, http.StatusOK, answer, err)
		})
}
