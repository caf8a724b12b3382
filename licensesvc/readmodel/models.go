package readmodel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/backstay-go/backstay/licensesvc/wire"
)

// Config says what the read models are made from, and where they are kept.
type Config struct {
	// Dir is the folder of the files. It is made if it is missing. Two processes must not share
	// it: the one that opened it later refuses the other's writes. Required.
	Dir string
	// Store is where events are read. Required.
	Store Source
	// Codec decodes events. Nil: that of this program.
	Codec *wire.Codec
	// Projections are the read models. Nil: Projections().
	Projections []Projection
	// Events returns the number of events in the store, for the progress of rebuilds. Nil: unknown.
	Events func(ctx context.Context) (int64, error)
	// Poll is the time between two looks at the feed when there is nothing to do. Default: 0,
	// which means 250 ms.
	Poll time.Duration
	// FreshFor is how old a view may be and still count as live. Default: 0, which means 2 s.
	FreshFor time.Duration
	// MaxLag is the age of a view at which its health is degraded. Default: 0, which means 1 min.
	MaxLag time.Duration
	// Stuck is how long a view may make no progress, while there is something to do, before its
	// health is failed. Default: 0, which means 30 s.
	Stuck time.Duration
	// RebuildShare is the part of the time that a rebuild works while another view serves; it
	// pauses in between. More than 0, at most 1. Default: 0, which means 0.2.
	RebuildShare float64
	// Grace is how long Close waits for a projection that does not return. Default: 0, which means
	// 5 s.
	Grace time.Duration
	// Clock returns the time. Nil: time.Now.
	Clock func() time.Time
	// Log receives what an operator should know. Nil: nothing is logged.
	Log *slog.Logger
	_   struct{}
}

func (c Config) withDefaults() (Config, error) {
	var errs []error
	if c.Dir == "" {
		errs = append(errs, errors.New("readmodel: Dir is empty: name a folder"))
	}
	if c.Store == nil {
		errs = append(errs, errors.New("readmodel: Store is nil: give an event store"))
	}
	if c.Projections == nil {
		c.Projections = Projections()
	}
	for i, p := range c.Projections {
		errs = append(errs, p.check())
		if slices.ContainsFunc(c.Projections[:i], func(o Projection) bool { return o.Name == p.Name }) {
			errs = append(errs, fmt.Errorf("readmodel: there are two projections %q", p.Name))
		}
	}
	for _, d := range []struct {
		name  string
		value *time.Duration
		or    time.Duration
	}{{"Poll", &c.Poll, 250 * time.Millisecond}, {"FreshFor", &c.FreshFor, 2 * time.Second}, {"MaxLag", &c.MaxLag, time.Minute}, {"Stuck", &c.Stuck, 30 * time.Second}, {"Grace", &c.Grace, 5 * time.Second}} {
		if *d.value < 0 {
			errs = append(errs, fmt.Errorf("readmodel: %s is %s: give a duration above zero, or 0 for %s", d.name, *d.value, d.or))
		}
		if *d.value == 0 {
			*d.value = d.or
		}
	}
	if c.RebuildShare < 0 || c.RebuildShare > 1 {
		errs = append(errs, fmt.Errorf("readmodel: RebuildShare is %g: give more than 0 and at most 1, or 0 for 0.2", c.RebuildShare))
	}
	if c.RebuildShare == 0 {
		c.RebuildShare = 0.2
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Codec == nil {
		var err error
		if c.Codec, err = wire.New(); err != nil {
			errs = append(errs, err)
		}
	}
	return c, errors.Join(errs...)
}

// Models are the read models of one process. It is safe for concurrent use. The caller that opened
// it must call Run once, and Close after Run has returned.
type Models struct {
	cfg     Config
	catalog *catalog
	feed    *feed
	list    []*model
}

// Open opens the files. A view that is missing, damaged or of another version is no error: Run makes
// it again.
func Open(ctx context.Context, cfg Config) (_ *Models, err error) {
	if cfg, err = cfg.withDefaults(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("readmodel: %w", err)
	}
	m := &Models{cfg: cfg, feed: newFeed(cfg.Store, cfg.Codec, cfg.Poll/2, cfg.Clock)}
	if m.catalog, err = openCatalog(ctx, cfg.Dir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.Close())
		}
	}()
	if err := errors.Join(m.catalog.take(ctx), m.catalog.sweep(ctx)); err != nil {
		return nil, err
	}
	for _, p := range cfg.Projections {
		one := &model{Models: m, p: p, log: cfg.Log.With("read_model", p.Name)}
		m.list = append(m.list, one)
		if err := one.open(ctx); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// Run keeps the read models up to date until ctx ends.
func (m *Models) Run(ctx context.Context) error {
	var running sync.WaitGroup
	for _, one := range m.list {
		running.Go(func() { one.run(ctx) })
	}
	running.Wait()
	return ctx.Err()
}

// Close closes the files.
func (m *Models) Close() error {
	var errs []error
	for _, one := range m.list {
		errs = append(errs, one.close())
	}
	return errors.Join(append(errs, m.catalog.db.Close())...)
}

// model returns the read model of a name.
func (m *Models) model(name string) (*model, error) {
	for _, one := range m.list {
		if one.p.Name == name {
			return one, nil
		}
	}
	return nil, fmt.Errorf("readmodel: there is no read model %q", name)
}
