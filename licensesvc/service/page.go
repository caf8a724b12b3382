package service

import (
	"net/http"
	"time"

	"github.com/backstay-go/backstay/licensesvc/api"
	"github.com/backstay-go/backstay/licensesvc/app"
	"github.com/backstay-go/backstay/licensesvc/dashboard"
	"github.com/backstay-go/backstay/licensesvc/diskwatch"
	"github.com/backstay-go/backstay/licensesvc/upstream"
)

// fallbacks says what is used when a dependency fails, by the name of its guard. The store's
// other guards serve data that is only shown.
var fallbacks = map[string]string{
	app.EventStore:      "new licenses are promised, reads show what is remembered",
	upstream.Membership: "the last known plan: 15 min for new licenses, 30 days for renewals",
	upstream.Catalog:    "the last known terms for a day, then the studio's strictest",
	upstream.KeyService: "nothing: there is no license without a key",
}

// Outcomes returns the outcomes of requests as the page shows them.
func Outcomes() []dashboard.Value {
	return []dashboard.Value{
		{Name: string(app.Done), Tone: dashboard.Good}, {Name: string(app.Promised), Tone: dashboard.Degraded}, {Name: string(app.Accepted), Tone: dashboard.Weak},
		{Name: api.OutcomeRefused, Tone: dashboard.Refused}, {Name: api.OutcomeInvalid, Tone: dashboard.Neutral},
		{Name: api.OutcomeNotFound, Tone: dashboard.Neutral}, {Name: api.OutcomeForbidden, Tone: dashboard.Neutral},
		{Name: api.OutcomeUnknown, Tone: dashboard.Doubtful}, {Name: api.OutcomeUnavailable, Tone: dashboard.Bad}, {Name: api.OutcomeError, Tone: dashboard.Bad},
	}
}

// page makes the dashboard.
func (in *Instance) page() (*dashboard.Dashboard, error) {
	var dependencies []dashboard.Dependency
	for _, g := range in.Guards() {
		fallback, ok := fallbacks[g.Name()]
		if !ok {
			fallback = "reads show what is remembered"
		}
		dependencies = append(dependencies, dashboard.Dependency{Name: g.Name(), Fallback: fallback, Snapshot: g.Snapshot})
	}
	return dashboard.New(dashboard.Config{
		Dependencies: dependencies, Recorder: in.recorder, Outcomes: Outcomes(), Traffic: in.traffic.history, Recent: in.traffic.decisions, Faults: in.cfg.Faults, Caller: func(r *http.Request) string { return api.CallerOf(r.Context()).Name },
		Status: func() dashboard.Status {
			state := in.readiness(time.Now())
			return dashboard.Status{Ready: state.Status != notReady, Note: state.note(), Provisional: in.app.Pending()}
		},
		Capacity: func() dashboard.Capacity {
			f := in.monitor.Forecast()
			c := dashboard.Capacity{EventBytes: f.BytesPerEvent, EventsPerHour: f.EventsPerHour, FreeBytes: f.FreeBytes, StoreBytes: f.StoreBytes, DaysLeft: f.DaysLeft, State: string(f.State), Note: f.Why}
			if err := in.monitor.Err(); err != nil {
				c.State, c.Note = string(diskwatch.Alarm), "the disk could not be measured: "+err.Error()
			}
			return c
		},
	})
}
