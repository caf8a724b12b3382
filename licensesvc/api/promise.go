package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

type redeemInput struct {
	Member string `path:"member" minLength:"1" maxLength:"64" doc:"The member's id."`
	Body   struct {
		Token string `json:"token" doc:"The signed promise that the device holds."`
	}
}

func (a *API) promises(h huma.API) {
	huma.Register(h, a.operation(h, "redeem-token", "Bring back the promise of a provisional license", http.MethodPost, "/v1/members/{member}/tokens", Write, http.StatusOK, http.StatusAccepted),
		func(ctx context.Context, in *redeemInput) (*answered, error) {
			answer, err := a.app.Redeem(ctx, in.Member, in.Body.Token, meta(ctx))
			return a.answer(ctx, in.Member, http.StatusOK, answer, err)
		})
}
