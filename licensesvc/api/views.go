package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/backstay-go/backstay/licensesvc/app"
	"github.com/backstay-go/backstay/licensesvc/license"
	"github.com/backstay-go/backstay/licensesvc/readmodel"
)

// Views answers from read models. *readmodel.Models implements it.
type Views interface {
	OfStream(ctx context.Context, want readmodel.Token, wait time.Duration, after string, limit int) ([]readmodel.LicenseRow, readmodel.Freshness, error)
	Expiring(ctx context.Context, from, until time.Time, afterStream, afterLicense string, limit int) ([]readmodel.LicenseRow, readmodel.Freshness, error)
	StudioUse(ctx context.Context, studio string, from, until time.Time, afterTitle string, limit int) ([]readmodel.Used, readmodel.Freshness, error)
	PromisesSince(ctx context.Context, after time.Time, afterStream, afterLicense string, limit int) ([]readmodel.Promise, readmodel.Freshness, error)
	Status() []readmodel.Status
}

// Viewed is what every answer from a read model says of its age.
type Viewed struct {
	DecidedOn []Basis `json:"decided_on" doc:"The read model, live or stale, and how old it may be."`
	Waiting   int     `json:"streams_waiting,omitempty" doc:"Members of whom some events could not be applied. The answer may lack what these events changed."`
	Next      string  `json:"next,omitempty" doc:"Give it as after to go on."`
}

// views registers the requests that are answered from read models.
func (a *API) views(h huma.API) {
	a.devices(h)
	a.expiring(h)
	a.use(h)
	a.promised(h)
	huma.Register(h, a.operation(h, "list-readmodels", "The read models: how far they are, what waits, what is being rebuilt", http.MethodGet, "/v1/readmodels", Operate, http.StatusOK),
		func(ctx context.Context, _ *struct{}) (*struct{ Body ReadModels }, error) {
			note(ctx).Outcome = string(app.Done)
			return &struct{ Body ReadModels }{ReadModels{a.read.Status()}}, nil
		})
}

// ReadModels lists the read models.
type ReadModels struct {
	ReadModels []readmodel.Status `json:"read_models"`
}

// viewed returns how old an answer is, and notes it.
func viewed(ctx context.Context, f readmodel.Freshness) Viewed {
	n := note(ctx)
	n.Outcome, n.On = string(app.Done), []license.Basis{f.Basis()}
	return Viewed{DecidedOn: on(n.On), Waiting: f.Parked}
}

// viewProblem turns the error of a read model into an answer.
func (a *API) viewProblem(ctx context.Context, err error) error {
	var building *readmodel.BuildingError
	if errors.As(err, &building) {
		p := problemOf(KindBuilding, http.StatusServiceUnavailable, building.Error())
		p.Dependency = readmodel.Name
		err = p.after(min(max(building.Left, time.Second), time.Minute))
		n := note(ctx)
		n.Outcome = p.Outcome
		return err
	}
	return a.refuse(ctx, err)
}

// memberOf returns the member of a stream.
func memberOf(stream string) string { return strings.TrimPrefix(stream, app.Stream("")) }

// placeOf makes the text by which a caller goes on after a row.
func placeOf(parts ...any) string {
	b, err := json.Marshal(parts)
	if err != nil {
		return "" // Texts and numbers never fail.
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// goOn reads what placeOf made. An empty text changes nothing.
func (a *API) goOn(ctx context.Context, after string, to ...any) error {
	if after == "" {
		return nil
	}
	b, err := base64.RawURLEncoding.DecodeString(after)
	var parts []json.RawMessage
	if err == nil {
		err = json.Unmarshal(b, &parts)
	}
	if err == nil && len(parts) != len(to) {
		err = errors.New("it has other parts")
	}
	for i := 0; err == nil && i < len(to); i++ {
		err = json.Unmarshal(parts[i], to[i])
	}
	if err != nil {
		return a.refuse(ctx, errUnknownPage)
	}
	return nil
}
