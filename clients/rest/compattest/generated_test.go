package compattest

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/backstay-go/backstay/clients/rest/compattest/license"
	"github.com/backstay-go/backstay/licensesvc/api"
	"github.com/backstay-go/backstay/licensesvc/app"
	domain "github.com/backstay-go/backstay/licensesvc/license"
)

// licenses answers requests for licenses, and nothing else.
type licenses struct{ api.App }

// Request implements api.App.
func (licenses) Request(ctx context.Context, in app.RequestInput) (app.Answer, error) {
	if _, timed := ctx.Deadline(); !timed {
		return app.Answer{}, errNotAsked
	}
	return app.Answer{Outcome: app.Done, License: domain.License{ID: "lic-1", Device: in.Device, Title: in.Title, Granted: time.Now(), Expires: time.Now().Add(time.Hour)}, Version: 1}, nil
}

// TestGeneratedClient: a client that knows nothing of guards requests a license from
// the service's own API, which fails twice.
func TestGeneratedClient(t *testing.T) {
	onEach(t, func(t *testing.T, on protocols) {
		inner := guard(t, api.Policy(patience))
		own, err := api.New(api.Config{App: licenses{}, Guard: inner.Guard})
		if err != nil {
			t.Fatal(err)
		}
		var bodies []string
		near, far := caller(t), service(t, 20)
		s := serve(t, on, handler(t, far, thirdTime(http.StatusInternalServerError, own, &bodies)))
		client, err := license.NewClientWithResponses(s.URL, license.WithHTTPClient(&http.Client{Transport: transport(t, on, near)}))
		if err != nil {
			t.Fatal(err)
		}
		key := "once"
		body := license.RequestLicenseJSONRequestBody{Device: "tablet", Title: "capstan-002"}
		got, err := client.RequestLicenseWithResponse(t.Context(), "m-00001", &license.RequestLicenseParams{IdempotencyKey: key}, body)
		if err != nil {
			t.Fatal(err)
		}
		if got.JSON201 == nil || got.JSON201.License.License != "lic-1" || got.JSON201.License.Device != "tablet" {
			t.Errorf("%s: %s", got.Status(), got.Body)
		}
		same(t, bodies, 3)
		near.want(t, 1, 3, 1, 2, 0, 0)
		far.want(t, 3, 3, 1, 2, 0, 0)
		inner.want(t, 1, 1, 1, 0, 0, 0)

		// Without a key it is sent once, and the caller gets the answer that there is.
		bodies = nil
		got, err = client.RequestLicenseWithResponse(t.Context(), "m-00001", &license.RequestLicenseParams{}, body)
		if err != nil {
			t.Fatal(err)
		}
		if got.StatusCode() != http.StatusInternalServerError || string(got.Body) != "not yet\n" {
			t.Errorf("%s: %s", got.Status(), got.Body)
		}
		same(t, bodies, 1)
		near.want(t, 2, 4, 1, 3, 0, 0)
		far.want(t, 4, 4, 1, 3, 0, 0)
	})
}
