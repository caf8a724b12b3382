package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/backstay-go/backstay/licensesvc/app"
)

type requestInput struct {
	OfMember
	Body struct {
		Device     string `json:"device" minLength:"1" maxLength:"64" pattern:"^[!-~]*[!-\\-/-~][!-~]*$" patternDescription:"visible ASCII characters, not only dots" doc:"The device that will hold the download."`
		Title      string `json:"title" minLength:"1" maxLength:"64" pattern:"^[!-~]*[!-\\-/-~][!-~]*$" patternDescription:"visible ASCII characters, not only dots" doc:"The title."`
		Country    string `json:"country,omitempty" pattern:"^[A-Z]{2}$" patternDescription:"two upper-case letters" doc:"Where the device is, such as DE. Rules may depend on it."`
		DeviceKind string `json:"device_kind,omitempty" pattern:"^[a-z][a-z0-9_]{0,31}$" patternDescription:"lower-case letters, digits and _" doc:"What the device is, such as phone. Rules may depend on it."`
	}
}

func (a *API) requests(h huma.API) {
	huma.Register(h, a.operation(h, "request-license", "Request a license", http.MethodPost, "/v1/members/{member}/licenses", Write, http.StatusCreated, http.StatusOK, http.StatusAccepted),
		func(ctx context.Context, in *requestInput) (*answered, error) {
			note(ctx).Title = in.Body.Title
			answer, err := a.app.Request(ctx, app.RequestInput{Member: in.Member, Device: in.Body.Device, Title: in.Body.Title, Country: in.Body.Country, DeviceKind: in.Body.DeviceKind, Key: in.Key, Meta: meta(ctx)})
			return a.answer(ctx, in.Member, http.StatusCreated, answer, err)
		})
}
