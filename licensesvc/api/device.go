package api

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/backstay-go/backstay/licensesvc/app"
	"github.com/backstay-go/backstay/licensesvc/license"
	"github.com/backstay-go/backstay/licensesvc/readmodel"
)

// seenWithin is how long an answer waits for the version that the caller wants to see.
const seenWithin = 500 * time.Millisecond

// maxLicenses is the highest number of licenses in one answer about devices.
const maxLicenses = 1000

// Device is a device with the licenses that it holds or held.
type Device struct {
	Device   string    `json:"device"`
	Active   int       `json:"active" doc:"How many of the licenses are active now, promised ones too."`
	Licenses []License `json:"licenses"`
}

// Devices are a member's devices.
type Devices struct {
	Devices []Device `json:"devices"`
	Viewed
}

type devicesInput struct {
	Member  string `path:"member" minLength:"1" maxLength:"64" doc:"The member's id."`
	AtLeast int64  `query:"at_least" minimum:"0" doc:"The version of an earlier answer about the member. The answer waits a little for what happened until then, and is marked as stale if it lacks that."`
	After   string `query:"after" maxLength:"1000" doc:"The next of the page before."`
}

func (a *API) devices(h huma.API) {
	huma.Register(h, a.operation(h, "list-devices", "A member's devices and their licenses", http.MethodGet, "/v1/members/{member}/devices", Read, http.StatusOK),
		func(ctx context.Context, in *devicesInput) (*struct{ Body Devices }, error) {
			var after string
			if err := a.goOn(ctx, in.After, &after); err != nil {
				return nil, err
			}
			rows, f, err := a.read.OfStream(ctx, readmodel.Token{Stream: app.Stream(in.Member), Version: in.AtLeast}, seenWithin, after, maxLicenses)
			if err != nil {
				return nil, a.viewProblem(ctx, err)
			}
			body := Devices{Devices: devicesOf(rows, a.clock()), Viewed: viewed(ctx, f)}
			if len(rows) == maxLicenses {
				body.Next = placeOf(rows[len(rows)-1].ID)
			}
			return &struct{ Body Devices }{body}, nil
		})
}

// devicesOf groups licenses by device.
func devicesOf(rows []readmodel.LicenseRow, now time.Time) []Device {
	by := map[string]*Device{}
	for _, l := range rows {
		d, ok := by[l.Device]
		if !ok {
			d = &Device{Device: l.Device}
			by[l.Device] = d
		}
		status := l.StatusAt(now)
		if status == license.StatusActive || status == license.StatusProvisional {
			d.Active++
		}
		d.Licenses = append(d.Licenses, licenseOf(l.License, status))
	}
	all := make([]Device, 0, len(by))
	for _, d := range by {
		all = append(all, *d)
	}
	slices.SortFunc(all, func(a, b Device) int { return strings.Compare(a.Device, b.Device) })
	return all
}

// ExpiringLicense is a license that will expire.
type ExpiringLicense struct {
	Member string    `json:"member"`
	Ends   time.Time `json:"ends"`
	// Notice is true within the seven days before the end, when members are reminded.
	Notice  bool    `json:"notice" doc:"It ends within seven days."`
	License License `json:"license"`
}

// ExpiringLicenses are licenses in the order in which they expire.
type ExpiringLicenses struct {
	Licenses []ExpiringLicense `json:"licenses"`
	Viewed
}

// noticeFrom is how long before its end a license deserves a notice.
const noticeFrom = 7 * 24 * time.Hour

type expiringInput struct {
	Days  int    `query:"days" minimum:"1" maximum:"366" default:"7" doc:"Within how many days they expire."`
	After string `query:"after" maxLength:"1000" doc:"The next of the page before."`
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

func (a *API) expiring(h huma.API) {
	huma.Register(h, a.operation(h, "list-expiring", "Licenses that expire soon, the soonest first", http.MethodGet, "/v1/licenses/expiring", Operate, http.StatusOK),
		func(ctx context.Context, in *expiringInput) (*struct{ Body ExpiringLicenses }, error) {
			now := a.clock()
			from, stream, id := now, "", ""
			if err := a.goOn(ctx, in.After, &from, &stream, &id); err != nil {
				return nil, err
			}
			rows, f, err := a.read.Expiring(ctx, from, now.AddDate(0, 0, in.Days), stream, id, in.Limit)
			if err != nil {
				return nil, a.viewProblem(ctx, err)
			}
			body := ExpiringLicenses{Licenses: []ExpiringLicense{}, Viewed: viewed(ctx, f)}
			for _, l := range rows {
				body.Licenses = append(body.Licenses, ExpiringLicense{Member: memberOf(l.Stream), Ends: l.Ends, Notice: l.Ends.Before(now.Add(noticeFrom)), License: licenseOf(l.License, l.StatusAt(now))})
			}
			if n := len(rows); n == in.Limit {
				body.Next = placeOf(rows[n-1].Ends, rows[n-1].Stream, rows[n-1].ID)
			}
			return &struct{ Body ExpiringLicenses }{body}, nil
		})
}
