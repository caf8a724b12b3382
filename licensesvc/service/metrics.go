package service

import (
	"math"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/backstay-go/backstay/licensesvc/diskwatch"
)

// observeFunc receives the value of a meter.
type observeFunc = func(float64, ...attribute.KeyValue)

// single returns the reader of a meter without attributes.
func single(value func() float64) func(observeFunc) {
	return func(observe observeFunc) { observe(value()) }
}

// meters returns the metrics of the process.
func (h *headroom) meters() []meter {
	return []meter{
		{name: "licensesvc.front.pressure", unit: "1", help: "How much is refused because the process has too little left: 0 nothing, 3 everything but renewals.",
			read: single(func() float64 { return math.Float64frombits(h.pressure.Load()) })},
		{name: "licensesvc.front.shed", unit: "{request}", help: "Requests that were refused for that reason.", total: true,
			read: single(func() float64 { return float64(h.refused.Load()) })},
		{name: "licensesvc.front.run_delay", unit: "s", help: "How long runnable work waited for a processor, on average over 50 ms.",
			read: single(func() float64 { return time.Duration(h.delay.Load()).Seconds() })},
	}
}

// meters returns the metrics of the store.
func (w *storeWatch) meters() []meter {
	return []meter{
		{name: "licensesvc.store.events", unit: "{event}", help: "Events in the store.", read: func(observe observeFunc) {
			if s := w.stats.Load(); s != nil {
				observe(float64(s.Events))
			}
		}},
		{name: "licensesvc.store.log_size", unit: "By", help: "Size of the store's write-ahead log.", read: func(observe observeFunc) {
			if s := w.stats.Load(); s != nil {
				observe(float64(s.LogBytes))
			}
		}},
	}
}

// diskMeters returns the metrics of the disk.
func (in *Instance) diskMeters() []meter {
	forecast := func(value func(diskwatch.Forecast) float64) func(observeFunc) {
		return single(func() float64 { return value(in.monitor.Forecast()) })
	}
	return []meter{
		{name: "licensesvc.disk.free", unit: "By", help: "Free space of the data folder's disk.", read: forecast(func(f diskwatch.Forecast) float64 { return float64(f.FreeBytes) })},
		{name: "licensesvc.disk.days_left", unit: "d", help: "Days until new licenses are refused. Absent while it is unknown.", read: func(observe observeFunc) {
			if f := in.monitor.Forecast(); f.DaysLeft >= 0 {
				observe(f.DaysLeft)
			}
		}},
		{name: "licensesvc.disk.read_only", unit: "1", help: "1 while new licenses are refused because the disk is full, else 0.", read: forecast(func(f diskwatch.Forecast) float64 {
			if f.State == diskwatch.Full {
				return 1
			}
			return 0
		})},
		{name: "licensesvc.disk.unmeasurable", unit: "1", help: "1 while the disk can't be measured, else 0.", read: single(func() float64 {
			if in.monitor.Err() != nil {
				return 1
			}
			return 0
		})},
	}
}

// outboxMeters returns the metrics of the outbox.
func (in *Instance) outboxMeters() []meter {
	state := func(name string) attribute.KeyValue { return attribute.String("state", name) }
	return []meter{
		{name: "licensesvc.outbox.entries", unit: "{entry}", help: "Entries that are not in the store: pending ones, parked ones among them, and refused ones that nobody has seen yet.", read: func(observe observeFunc) {
			o := in.app.Outbox()
			observe(float64(o.Pending), state("pending"))
			observe(float64(o.Parked), state("parked"))
			observe(float64(o.Refused), state("refused"))
		}},
		{name: "licensesvc.outbox.size", unit: "By", help: "Size of the outbox's file.", read: single(in.outboxBytes)},
		{name: "licensesvc.outbox.oldest_age", unit: "s", help: "Age of the oldest pending entry, 0 if there is none.", read: single(func() float64 {
			if o := in.app.Outbox(); !o.Oldest.IsZero() {
				return time.Since(o.Oldest).Seconds()
			}
			return 0
		})},
		{name: "licensesvc.outbox.stored", unit: "{entry}", help: "Entries that have left the outbox.", total: true, read: single(func() float64 { return float64(in.app.Outbox().Stored) })},
		{name: "licensesvc.promises.open", unit: "{license}", help: "Promised licenses that are not in the store.", read: single(func() float64 { return float64(in.app.Outbox().Promises) })},
	}
}

// meters returns the metrics of the answers.
func (t *traffic) meters() []meter {
	return []meter{{name: "licensesvc.decisions", unit: "{request}", help: "Answered requests by operation, outcome and reason.", total: true, read: func(observe observeFunc) {
		t.mu.Lock()
		defer t.mu.Unlock()
		for d, n := range t.decided {
			observe(float64(n), attribute.String("operation", d.operation), attribute.String("outcome", d.outcome), attribute.String("reason", d.reason))
		}
	}}}
}
