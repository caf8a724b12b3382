package diskwatch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// keep is the highest number of samples that a forecast uses. When it is exceeded, every second
// sample is dropped and the interval doubled, so that the samples reach far back.
const keep = 64

// MonitorConfig is the configuration of a Monitor.
type MonitorConfig struct {
	// Disk returns the free and the used bytes. Required; see the function Disk.
	Disk func() (free, used int64, err error)
	// Events returns the number of events in the store. Required.
	Events func(context.Context) (int64, error)
	// Every is the interval of measurements. Default: 5 s.
	Every time.Duration
	// Limits say when the disk is running out of space.
	Limits Limits
	_      struct{}
}

// Monitor watches a disk. It is safe for concurrent use. Run is its only
// goroutine; it ends with its context.
type Monitor struct {
	cfg MonitorConfig

	mu      sync.Mutex
	samples []Sample
	skip    int
	seen    int
	current Forecast
	err     error
}

// NewMonitor checks the configuration and measures the disk once.
func NewMonitor(ctx context.Context, cfg MonitorConfig) (*Monitor, error) {
	errs := []error{cfg.Limits.Check()}
	if cfg.Disk == nil || cfg.Events == nil {
		errs = append(errs, errors.New("diskwatch: Disk and Events are required"))
	}
	if cfg.Every < 0 {
		errs = append(errs, fmt.Errorf("diskwatch: Every is %s: give a duration above zero, or 0 for 5 s", cfg.Every))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if cfg.Every == 0 {
		cfg.Every = 5 * time.Second
	}
	m := &Monitor{cfg: cfg, skip: 1}
	m.Look(ctx)
	return m, m.Err()
}

// Run measures the disk at each interval until the context ends.
func (m *Monitor) Run(ctx context.Context) error {
	ticker := time.NewTicker(m.cfg.Every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			m.Look(ctx)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Look takes a sample now. If that fails, Err returns the error, and the earlier forecast stays.
func (m *Monitor) Look(ctx context.Context) {
	free, used, err := m.cfg.Disk()
	var events int64
	if err == nil {
		events, err = m.cfg.Events(ctx)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil {
		m.err = fmt.Errorf("diskwatch: the disk can't be measured: %w", err)
		return
	}
	m.err = nil
	s := Sample{At: time.Now(), Free: free, Used: used, Events: events}
	if m.seen%m.skip == 0 {
		if len(m.samples) == keep {
			for i := range keep / 2 {
				m.samples[i] = m.samples[2*i]
			}
			m.samples = m.samples[:keep/2]
			m.skip *= 2
		}
		m.samples = append(m.samples, s)
	}
	m.seen++
	all := m.samples
	if all[len(all)-1] != s {
		all = append(all[:len(all):len(all)], s)
	}
	m.current = Predict(all, m.cfg.Limits)
}

// Forecast returns the latest forecast.
func (m *Monitor) Forecast() Forecast {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.current
}

// Err returns the error of the last measurement, or nil.
func (m *Monitor) Err() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}
