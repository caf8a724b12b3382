package diskwatch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// keep is how many samples a forecast is made of; when there are more, every
// second one is dropped and the pace halved, so that they reach far back.
const keep = 64

// MonitorConfig says what is watched.
type MonitorConfig struct {
	// Disk reads free and used bytes. Required; see Disk.
	Disk func() (free, used int64, err error)
	// Events counts the store's events. Required.
	Events func(context.Context) (int64, error)
	// Every is how often the disk is looked at. Default: 5 s.
	Every time.Duration
	// Limits say when the disk is short.
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

// NewMonitor checks the configuration and looks at the disk once.
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

// Run looks at the disk again and again until the context ends.
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

// Look takes a sample now. Err returns what went wrong; the forecast before it
// stays.
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

// Err returns why the last look failed, or nil.
func (m *Monitor) Err() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}
