package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/backstay-go/backstay/licensesvc/app/journal"
	"github.com/backstay-go/backstay/licensesvc/app/token"
	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/license"
	"github.com/backstay-go/backstay/licensesvc/repository"
	"github.com/backstay-go/backstay/licensesvc/upstream"
	"github.com/backstay-go/backstay/licensesvc/wire"
	"github.com/backstay-go/backstay/resilience"
)

// Upstream calls the services on which a decision depends. *upstream.Clients implements it.
type Upstream interface {
	MemberToIssue(ctx context.Context, id string) (resilience.Result[upstream.Member], error)
	MemberToRenew(ctx context.Context, id string) (resilience.Result[upstream.Member], error)
	Title(ctx context.Context, id string) (resilience.Result[upstream.Title], error)
	Key(ctx context.Context, want upstream.KeyRequest) (resilience.Result[upstream.Key], error)
}

// Self is the name of this program among the dependencies, for what only a newer version of it
// can do.
const Self = "licensesvc"

// Config holds the parts of a service.
type Config struct {
	// Store holds the events, behind the store's guards. Put nothing in front of it that has a
	// shorter deadline than the request. Required. The caller that opened it must close it,
	// after the last command.
	Store eventstore.LoadAppender
	// Upstream calls the other services. Required.
	Upstream Upstream
	// Journal keeps what is promised while the store fails, and Signer signs it. Set both or
	// neither. Without them nothing is promised.
	Journal *journal.Journal
	Signer  *token.Signer
	// Rules are the rules that decide, until SetRules. Default: the zero value, which means
	// license.DefaultRules.
	Rules license.Rules
	// Codec reads and writes the events. Nil: that of this program, wire.New.
	Codec *wire.Codec
	// Decisions receives how each command was decided. Record must not wait. Nil: nothing is
	// recorded.
	Decisions DecisionRecorder
	// Full returns why there is no room for commands that make the disk fuller, or "" if there
	// is room. Nil: there is always room.
	Full func() string
	// Snapshots holds folded states, so that long streams load quickly. Nil: Store, if it can do
	// that.
	Snapshots eventstore.Snapshotter
	// CacheBytes bounds the memory of the members' states that are remembered. Default: 0, which
	// means 16 MiB.
	CacheBytes int64
	// DrainEvery is the time between two looks at the journal. Default: 0, which means 250 ms.
	DrainEvery time.Duration
	// Clock returns the time that is recorded. Nil: time.Now.
	Clock func() time.Time
	// Tracer makes a span for each entry of the outbox that is carried over to the store, with a
	// link to the request that put it there. Nil: none are made.
	Tracer trace.TracerProvider
	// Log receives what an operator should know. Nil: nothing is logged.
	Log *slog.Logger
	_   struct{}
}

// Check returns every problem at once.
func (c Config) Check() error {
	var errs []error
	if c.Store == nil {
		errs = append(errs, errors.New("app: Store is nil: open one"))
	}
	if c.Upstream == nil {
		errs = append(errs, errors.New("app: Upstream is nil: give the clients"))
	}
	if (c.Journal == nil) != (c.Signer == nil) {
		errs = append(errs, errors.New("app: give both Journal and Signer, or none: a promise is kept in the one and signed by the other"))
	}
	if c.CacheBytes < 0 {
		errs = append(errs, fmt.Errorf("app: CacheBytes is %d: give 1 or more, or 0 for 16 MiB", c.CacheBytes))
	}
	if c.DrainEvery < 0 {
		errs = append(errs, fmt.Errorf("app: DrainEvery is %s: give a duration above zero, or 0 for 250 ms", c.DrainEvery))
	}
	return errors.Join(errs...)
}

// EventStore is the name of the event store among the dependencies.
const EventStore = eventstore.Name

// Service runs commands. It is safe for concurrent use and need not be closed. Its only
// goroutines are those of Run, which the caller starts and ends. A panic in a dependency's client reaches
// the caller.
type Service struct {
	members  *repository.Repository[license.State, license.Event]
	upstream Upstream
	outbox   *outbox
	refusals *refusals
	stories  *stories
	spanning *spanning
	signer   *token.Signer
	rules    atomic.Pointer[license.Rules]
	codec    *wire.Codec
	kept     keptCodec
	recorder DecisionRecorder
	tracer   trace.Tracer
	full     func() string
	every    time.Duration
	clock    func() time.Time
	log      *slog.Logger
}

// New checks the configuration and returns a service.
func New(cfg Config) (*Service, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	if cfg.Codec == nil {
		var err error
		if cfg.Codec, err = wire.New(); err != nil {
			return nil, fmt.Errorf("app: %w", err)
		}
	}
	kept, err := newKeptCodec()
	if err != nil {
		return nil, err
	}
	s := &Service{
		kept: kept, recorder: cfg.Decisions, upstream: cfg.Upstream, outbox: openOutbox(cfg.Journal, kept), signer: cfg.Signer, codec: cfg.Codec,
		refusals: newRefusals(), stories: newStories(),
		tracer: tracerOf(cfg), full: cfg.Full, every: cfg.DrainEvery, clock: cfg.Clock, log: cfg.Log,
	}
	if cfg.Rules.IsZero() {
		cfg.Rules = license.DefaultRules()
	}
	s.rules.Store(&cfg.Rules)
	if s.spanning, err = openSpanning(cfg.Store, s.codec, cfg.Rules); err != nil {
		return nil, err
	}
	if s.full == nil {
		s.full = func() string { return "" }
	}
	if s.clock == nil {
		s.clock = time.Now
	}
	if s.every == 0 {
		s.every = 250 * time.Millisecond
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if cfg.Snapshots == nil {
		cfg.Snapshots, _ = cfg.Store.(eventstore.Snapshotter)
	}
	s.members, err = repository.New(repository.Config[license.State, license.Event]{
		Store: cfg.Store, Snapshots: cfg.Snapshots, CacheBytes: cfg.CacheBytes, Clock: s.clock, Log: s.log,
		Domain: repository.Domain[license.State, license.Event]{
			Decode: s.codec.DecodeAll,
			Fold: func(state license.State, events []license.Event) (license.State, error) {
				return license.Fold(state, events...)
			},
			Size:        license.State.Size,
			FoldVersion: license.FoldVersion, Snapshot: license.State.Snapshot, Restore: license.RestoreSnapshot,
		},
	})
	return s, err
}

// Rules returns the rules that decide.
func (s *Service) Rules() license.Rules { return *s.rules.Load() }

// SetRules replaces the rules that decide. A decision in progress ends under the rules that it began
// with. It is an error if the store can't decide by the rules; the old ones then stay.
func (s *Service) SetRules(rules license.Rules) error {
	if s.spanning == nil && len(rules.Spanning()) > 0 {
		return unsupported(rules, eventstore.ErrUnsupported)
	}
	s.rules.Store(&rules)
	return nil
}

// Pending returns the number of promises and reports that are not yet in the store.
func (s *Service) Pending() int { return s.outbox.pending() }

// Outbox describes the entries that wait for the store, and why they wait.
func (s *Service) Outbox() Outbox { return s.outbox.stats() }

// Meta is recorded with a command in addition to its content.
type Meta struct {
	// Trace is the trace id, Actor the caller. Both are optional.
	Trace string `json:"trace,omitempty"`
	Actor string `json:"actor,omitempty"`
}

// command is a command in progress.
type command struct {
	identity
	license string // the license that the command is about, or that it creates
	meta    Meta
	at      time.Time
	on      []license.Basis
	// input is what the rules decided on the last time, at a version of the stream.
	input   license.Command
	version int64
}

// now returns the time in the form in which it is recorded.
func (s *Service) now() time.Time { return s.clock().UTC().Truncate(time.Millisecond) }

func (c *command) decidedOn(dependency string, source resilience.Source, age time.Duration) {
	c.on = append(c.on, license.Basis{Dependency: dependency, Source: source.String(), AgeSeconds: int64(age / time.Second)})
}

// shownBy records what the store answered to a read for display.
func (c *command) shownBy(source string) {
	c.on = append(c.on, license.Basis{Dependency: EventStore, Source: source})
}

// unavailable returns the error of a dependency that failed, with the time of the next try.
func (c *command) unavailable(dependency, detail string, cause error) *Unavailable {
	return &Unavailable{Dependency: dependency, Detail: detail, Retry: upstream.Wait(cause, time.Now()), DecidedOn: c.on, Cause: cause}
}
