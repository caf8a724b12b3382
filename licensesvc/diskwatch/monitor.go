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
	// Disk returns the free bytes of the disk that holds the store. Required; see the function
	// Disk.
	Disk func() (free int64, err error)
	// Store returns the number of events in the store, and their size in bytes without the
	// store's log, or -1 if the store can't say. Required.
	Store func(context.Context) (events, bytes int64, err error)
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

// NewMonitor checks the configuration and measures the disk once. If that fails, Err returns why:
// a service must start while its store is down.
func NewMonitor(ctx context.Context, cfg MonitorConfig) (*Monitor, error) {
	errs := []error{cfg.Limits.Check()}
	if cfg.Disk == nil || cfg.Store == nil {
		errs = append(errs, errors.New("diskwatch: Disk and Store are required"))
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
	return m, nil
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

// Look takes a sample now. If the disk can't be measured, Err returns the error, and the earlier
// forecast stays. If the store can't be asked, the forecast has the free space as it is now, and
// the rest as it was.
func (m *Monitor) Look(ctx context.Context) {
	free, err := m.cfg.Disk()
	var events, bytes int64
	var storeErr error
	if err == nil {
		events, bytes, storeErr = m.cfg.Store(ctx)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case err != nil:
		m.err = fmt.Errorf("the disk can't be measured: %w", err)
	case storeErr != nil:
		m.err = nil
		last := Sample{}
		if n := len(m.samples); n > 0 {
			last = m.samples[n-1]
		}
		last.Free = free
		m.current = Predict(append(m.samples[:len(m.samples):len(m.samples)], last), m.cfg.Limits)
	default:
		m.err = nil
		m.addLocked(Sample{At: time.Now(), Free: free, Used: max(0, bytes), Events: events})
	}
}

// addLocked adds a sample and makes the forecast.
func (m *Monitor) addLocked(s Sample) {
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
