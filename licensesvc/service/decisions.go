package service

import (
	"path/filepath"

	"go.opentelemetry.io/otel/attribute"

	"github.com/backstay-go/backstay/licensesvc/decision"
	"github.com/backstay-go/backstay/licensesvc/diskwatch"
)

// DecisionsIn returns the folder of the log of decisions in a data folder.
func DecisionsIn(data string) string { return filepath.Join(data, "decisions") }

// openDecisions opens the log of decisions. On a full disk it gives way to licenses.
func (in *Instance) openDecisions() (*decision.Log, error) {
	cfg := in.cfg.Decisions
	cfg.Dir, cfg.Log = DecisionsIn(in.cfg.Data), in.cfg.Log
	cfg.Full = func() bool { return in.monitor.Forecast().State == diskwatch.Full }
	log, err := decision.Open(cfg)
	if err != nil {
		return nil, err
	}
	in.parts.add(component{name: "decisions", close: log.Close, meters: []meter{
		{name: "licensesvc.decisions.recorded", unit: "{decision}", help: "Decisions that were recorded.", total: true,
			read: single(func() float64 { return float64(log.Stats().Written) })},
		{name: "licensesvc.decisions.dropped", unit: "{decision}", help: "Decisions that were not recorded, because too many waited (buffer), or the disk failed or was full (disk).", total: true,
			read: func(observe observeFunc) {
				s := log.Stats()
				observe(float64(s.DroppedBuffer), attribute.String("reason", "buffer"))
				observe(float64(s.DroppedDisk), attribute.String("reason", "disk"))
			}},
	}})
	return log, nil
}
