package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// TitleDay is what happened to the licenses for a title on a day.
type TitleDay struct {
	Day       string `json:"day" format:"date" doc:"In UTC, when it occurred, also if a device reported it later."`
	Title     string `json:"title"`
	Licenses  int64  `json:"licenses" doc:"Granted or promised."`
	Renewals  int64  `json:"renewals"`
	Downloads int64  `json:"downloads"`
	Plays     int64  `json:"plays"`
	Ended     int64  `json:"ended" doc:"Released or revoked."`
}

// StudioUse is the use of a studio's titles.
type StudioUse struct {
	Use []TitleDay `json:"use"`
	Viewed
}

type useInput struct {
	Studio string `path:"studio" minLength:"1" maxLength:"64" doc:"The studio's id."`
	From   string `query:"from" format:"date" doc:"The first day; default: 30 days ago."`
	Until  string `query:"until" format:"date" doc:"The last day; default: today."`
	After  string `query:"after" maxLength:"1000" doc:"The next of the page before."`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

// days returns the period of a request. huma has checked the dates.
func (in *useInput) days(now time.Time) (from, until time.Time) {
	from, until = now.UTC().AddDate(0, 0, -30), now.UTC()
	if d, err := time.Parse(time.DateOnly, in.From); err == nil {
		from = d
	}
	if d, err := time.Parse(time.DateOnly, in.Until); err == nil {
		until = d
	}
	return from, until
}

func (a *API) use(h huma.API) {
	huma.Register(h, a.operation(h, "show-use", "The use of a studio's titles by day", http.MethodGet, "/v1/studios/{studio}/use", Operate, http.StatusOK),
		func(ctx context.Context, in *useInput) (*struct{ Body StudioUse }, error) {
			from, until := in.days(a.clock())
			title := ""
			if err := a.goOn(ctx, in.After, &from, &title); err != nil {
				return nil, err
			}
			rows, f, err := a.read.StudioUse(ctx, in.Studio, from, until, title, in.Limit)
			if err != nil {
				return nil, a.viewProblem(ctx, err)
			}
			body := StudioUse{Use: []TitleDay{}, Viewed: viewed(ctx, f)}
			for _, u := range rows {
				body.Use = append(body.Use, TitleDay{Day: u.Day.Format(time.DateOnly), Title: u.Title, Licenses: u.Licenses, Renewals: u.Renewals, Downloads: u.Downloads, Plays: u.Plays, Ended: u.Ended})
			}
			if n := len(rows); n == in.Limit {
				body.Next = placeOf(rows[n-1].Day, rows[n-1].Title)
			}
			return &struct{ Body StudioUse }{body}, nil
		})
}
