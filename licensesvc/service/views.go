package service

import (
	"context"
	"path/filepath"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/backstay-go/backstay/licensesvc/api"
	"github.com/backstay-go/backstay/licensesvc/readmodel"
)

// ViewsIn returns the folder of the read models in a data folder.
func ViewsIn(data string) string { return filepath.Join(data, "views") }

// view opens the read models. The service works without them: if they can't be opened, the component
// says why, and requests for them are answered with that.
func (in *Instance) view(ctx context.Context) error {
	if in.cfg.NoReadModels {
		in.views = noViews{"this service has no read models"}
		return nil
	}
	m, err := readmodel.Open(ctx, readmodel.Config{Dir: ViewsIn(in.cfg.Data), Store: in.store, Clock: in.cfg.Clock, Log: in.cfg.Log,
		Events: func(ctx context.Context) (int64, error) {
			stats, err := in.store.Stats(ctx)
			return stats.Events, err
		}})
	if err != nil {
		in.cfg.Log.Error("there are no read models", "error", err)
		in.views = noViews{err.Error()}
		in.parts.add(component{name: "read_models", health: func() health { return health{StateFailed, err.Error()} }})
		return nil
	}
	in.views = m
	in.parts.add(component{name: "read_models", run: m.Run, close: m.Close, meters: viewMeters(m), health: func() health {
		level, reasons := m.Health()
		return health{[]State{StateOK, StateDegraded, StateFailed}[level], strings.Join(reasons, "; ")}
	}})
	return nil
}

// viewMeters returns the metrics of the read models.
func viewMeters(m *readmodel.Models) []meter {
	each := func(value func(readmodel.Status) (float64, bool)) func(observeFunc) {
		return func(observe observeFunc) {
			for _, st := range m.Status() {
				if v, ok := value(st); ok {
					observe(v, attribute.String("read_model", st.Name))
				}
			}
		}
	}
	return []meter{
		{name: "licensesvc.readmodel.events", unit: "{event}", help: "Events of the feed that the view has taken.", read: each(func(s readmodel.Status) (float64, bool) { return float64(s.Events), true })},
		{name: "licensesvc.readmodel.lag_events", unit: "{event}", help: "Events that the view lacks, as far as the feed knows. Absent while it is unknown.",
			read: each(func(s readmodel.Status) (float64, bool) { return float64(s.LagEvents), s.LagEvents >= 0 })},
		{name: "licensesvc.readmodel.lag", unit: "s", help: "How old the view is: everything that was acknowledged that long ago is in it. Absent before it was complete once.",
			read: each(func(s readmodel.Status) (float64, bool) { return s.LagSeconds, !s.AsOf.IsZero() })},
		{name: "licensesvc.readmodel.stuck", unit: "s", help: "How long the view has not moved although events are missing, 0 if it moves.",
			read: each(func(s readmodel.Status) (float64, bool) { return s.StuckSeconds, true })},
		{name: "licensesvc.readmodel.parked", unit: "{stream}", help: "Streams that wait because of an event that can't be applied.",
			read: each(func(s readmodel.Status) (float64, bool) { return float64(len(s.Parked)), true })},
		{name: "licensesvc.readmodel.rebuild_left", unit: "s", help: "Time until a rebuild is complete, at its present rate. Absent if there is none, or the time is unknown.",
			read: each(func(s readmodel.Status) (float64, bool) {
				if s.Rebuild == nil || s.Rebuild.LeftSeconds == 0 {
					return 0, false
				}
				return s.Rebuild.LeftSeconds, true
			})},
	}
}

// noViews answers for read models that could not be opened.
type noViews struct{ why string }

var _ api.Views = noViews{}

func (n noViews) err(model string) error { return &readmodel.BuildingError{Model: model, Why: n.why} }

func (n noViews) OfStream(context.Context, readmodel.Token, time.Duration, string, int) ([]readmodel.LicenseRow, readmodel.Freshness, error) {
	return nil, readmodel.Freshness{}, n.err(readmodel.LicensesName)
}

func (n noViews) Expiring(context.Context, time.Time, time.Time, string, string, int) ([]readmodel.LicenseRow, readmodel.Freshness, error) {
	return nil, readmodel.Freshness{}, n.err(readmodel.LicensesName)
}

func (n noViews) StudioUse(context.Context, string, time.Time, time.Time, string, int) ([]readmodel.Used, readmodel.Freshness, error) {
	return nil, readmodel.Freshness{}, n.err(readmodel.UseName)
}

func (n noViews) PromisesSince(context.Context, time.Time, string, string, int) ([]readmodel.Promise, readmodel.Freshness, error) {
	return nil, readmodel.Freshness{}, n.err(readmodel.PromisesName)
}

func (noViews) Status() []readmodel.Status { return []readmodel.Status{} }
