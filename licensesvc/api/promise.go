package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
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
