package service

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/backstay-go/backstay/licensesvc/api"
	"github.com/backstay-go/backstay/licensesvc/diskwatch"
	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/resilience"
)

// Readiness is the body of /readyz.
//
// The service is not ready only if it can keep no promise: while it drains, while its data
// folder or its journal can't be used, or while the schema of the store does not fit. While the
// store or a dependency is down it is ready and degraded: it promises, accepts, and answers
// from what it remembers, and a balancer that took all instances away would end that too.
type Readiness struct {
	// Status is ready, degraded or not_ready.
	Status     string      `json:"status"`
	Components []Component `json:"components"`
}

// The values of Readiness.Status.
const (
	ready    = "ready"
	degraded = "degraded"
	notReady = "not_ready"
)

// readiness returns the state of the whole.
func (in *Instance) readiness(now time.Time) Readiness {
	r := Readiness{Status: ready, Components: in.parts.states(now)}
	for _, c := range r.Components {
		switch {
		case c.State == StateFailed && c.Required:
			r.Status = notReady
		case c.State != StateOK && r.Status == ready:
			r.Status = degraded
		}
	}
	return r
}

// note returns what is wrong, in one line, for the page.
func (r Readiness) note() string {
	var found []string
	for _, c := range r.Components {
		if c.State != StateOK {
			found = append(found, c.Name+": "+c.Why)
		}
	}
	return strings.Join(found, "; ")
}

// readyz shows the state. Reasons name files and dependencies, so they are left out for callers
// without a token of the scope Operate.
func (in *Instance) readyz(w http.ResponseWriter, r *http.Request) {
	state := in.readiness(time.Now())
	if !in.front.Admits(r, api.Operate) {
		for i := range state.Components {
			state.Components[i].Why = ""
		}
	}
	status := http.StatusOK
	if state.Status == notReady {
		status = http.StatusServiceUnavailable
	}
	writeJSON(w, status, state)
}

// livez says that the process answers.
func livez(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"status": "live"})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // If this fails, the caller has gone.
}

// folderHealth returns a function that notices when the data folder is removed or replaced:
// what is written to the open files would then be lost.
func folderHealth(dir string) (func() health, error) {
	first, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	return func() health {
		now, err := os.Stat(dir)
		switch {
		case err != nil:
			return health{StateFailed, fmt.Sprintf("the data folder can't be used: %v; restore it and restart the service", err)}
		case !os.SameFile(first, now):
			return health{StateFailed, fmt.Sprintf("%s was replaced by another folder; restart the service", dir)}
		}
		return ok()
	}, nil
}

// outboxHealth says whether promises can be kept, and whether some wait in vain.
func (in *Instance) outboxHealth() health {
	if err := in.journal.Err(); err != nil {
		return health{StateFailed, err.Error()}
	}
	switch o := in.app.Outbox(); {
	case o.Parked > 0:
		return health{StateDegraded, fmt.Sprintf("%d of %d entries could not be stored: %s", o.Parked, o.Pending, strings.Join(o.Reasons, "; "))}
	case o.Refused > 0:
		return health{StateDegraded, fmt.Sprintf("%d entries were refused by the rules, and no device has seen that yet: %s", o.Refused, strings.Join(o.Reasons, "; "))}
	}
	return ok()
}

// outboxBytes returns the size of the journal.
func (in *Instance) outboxBytes() float64 {
	info, err := os.Stat(filepath.Join(in.cfg.Data, "journal"))
	if err != nil {
		return 0
	}
	return float64(info.Size())
}

// diskHealth says whether the disk still has room.
func (in *Instance) diskHealth() health {
	if err := in.monitor.Err(); err != nil {
		return health{StateDegraded, err.Error()}
	}
	switch f := in.monitor.Forecast(); f.State {
	case diskwatch.Full:
		return health{StateDegraded, "read-only for new licenses: " + f.Why}
	case diskwatch.Alarm:
		return health{StateDegraded, f.Why}
	}
	return ok()
}

// guardHealth says whether the circuit breakers of guards are closed.
func guardHealth(fallback string, guards ...*resilience.Guard) func() health {
	return func() health {
		for _, g := range guards {
			if s := g.Snapshot(); s.Breaker == resilience.BreakerOpen {
				return health{StateFailed, fmt.Sprintf("the circuit breaker of %s is %s; used meanwhile: %s", g.Name(), s.Breaker, fallback)}
			}
		}
		return ok()
	}
}

// storeWatch asks the store how it is. It is safe for concurrent use.
type storeWatch struct {
	store eventstore.Maintainer
	err   atomic.Pointer[error]
	found atomic.Pointer[eventstore.Health]
	stats atomic.Pointer[eventstore.Stats]
}

// look asks the store once. It returns what the disk's forecast needs.
func (w *storeWatch) look(ctx context.Context) (events, bytes int64, err error) {
	stats, err := w.store.Stats(ctx)
	if err == nil {
		w.stats.Store(&stats)
		var found eventstore.Health
		if found, err = w.store.Health(ctx); err == nil {
			w.found.Store(&found)
		}
	}
	w.err.Store(&err)
	bytes = stats.Bytes
	if bytes >= 0 && stats.LogBytes > 0 {
		bytes -= stats.LogBytes
	}
	return stats.Events, bytes, err
}

// health says whether the store can be used.
func (w *storeWatch) health() health {
	if err := w.err.Load(); err != nil && *err != nil {
		return health{StateFailed, fmt.Sprintf("the store can't be asked: %v; used meanwhile: %s", *err, fallbacks[eventstore.Name])}
	}
	if found := w.found.Load(); found != nil && len(found.Warnings) > 0 {
		return health{StateDegraded, strings.Join(found.Warnings, "; ")}
	}
	return ok()
}

// schema says whether the store's tables fit.
func (w *storeWatch) schema() health {
	if found := w.found.Load(); found != nil && !found.Schema.OK() {
		return health{StateFailed, found.Schema.String()}
	}
	return ok()
}
