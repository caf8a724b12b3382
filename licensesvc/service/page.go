package service

import (
	"github.com/backstay-go/backstay/licensesvc/app"
	"github.com/backstay-go/backstay/licensesvc/dashboard"
	"github.com/backstay-go/backstay/licensesvc/diskwatch"
	"github.com/backstay-go/backstay/licensesvc/upstream"
)

// standIns says what is answered in place of a dependency, by the name of its guard. What
// the store's other guards ask for is only shown.
var standIns = map[string]string{
	app.EventStore:      "new licenses are promised, reads show what is remembered",
	upstream.Membership: "the last known plan: 15 min for new licenses, 30 days for renewals",
	upstream.Catalog:    "the last known terms for a day, then the studio's strictest",
	upstream.KeyService: "nothing: there is no license without a key",
}

// page is the dashboard.
func (in *Instance) page() (*dashboard.Dashboard, error) {
	var dependencies []dashboard.Dependency
	for _, g := range in.Guards() {
		standIn, ok := standIns[g.Name()]
		if !ok {
			standIn = "reads show what is remembered"
		}
		dependencies = append(dependencies, dashboard.Dependency{Name: g.Name(), StandIn: standIn, Snapshot: g.Snapshot})
	}
	return dashboard.New(dashboard.Config{
		Dependencies: dependencies, Recorder: in.recorder, Traffic: in.traffic.history, Recent: in.traffic.decisions, Faults: in.cfg.Faults,
		Status: func() dashboard.Status {
			why := in.notReady()
			return dashboard.Status{Ready: why == "", Note: why, Provisional: in.app.Pending()}
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
