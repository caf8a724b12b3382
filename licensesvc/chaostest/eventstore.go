package chaostest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/history"
	"github.com/backstay-go/backstay/chaos/load"
	"github.com/backstay-go/backstay/chaos/report"
	"github.com/backstay-go/backstay/chaos/scenario"
	"github.com/backstay-go/backstay/internal/observe"
	"github.com/backstay-go/backstay/licensesvc/app"
	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/service"
)

// streams is the number of streams that the clients of a bare event store share. It is small, so
// that clients meet on the same stream.
const streams = 6

// EventStore starts event stores without a service around them. Clients read and append
// concurrently, and what they saw is judged as a history. The zero value is ready to use. It is
// safe for concurrent use.
type EventStore struct {
	// Cassandra has the same meaning as in Target.
	Cassandra *Nodes
	_         struct{}
}

// Check implements scenario.Target.
func (t EventStore) Check(s scenario.Scenario) error {
	store := setting(s, SettingStore, "sqlite")
	for name := range s.Settings {
		if name != SettingStore {
			return problem("settings."+name, "there is no such setting; there is %s", SettingStore)
		}
	}
	if store != "sqlite" && store != "cassandra" {
		return problem("settings.store", "is %q: there are sqlite and cassandra", store)
	}
	if len(s.Actions) > 0 {
		return problem("actions", "a bare event store knows none")
	}
	known := Known(store, 1)
	known.Dependencies = []string{app.EventStore}
	known.Places = map[string][]string{app.EventStore: known.Places[app.EventStore]}
	return checkFaults(s, known)
}

// Start implements scenario.Target.
func (t EventStore) Start(ctx context.Context, setup scenario.Setup) (_ scenario.System, err error) {
	s := &bareStore{setup: setup, recorder: history.New()}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close(context.WithoutCancel(ctx)))
		}
	}()
	if s.observed, err = observe.Start(ctx, "eventstore", func(string) string { return "" }); err != nil {
		return nil, err
	}
	if s.backend, err = (Target{Cassandra: t.Cassandra}).backend(ctx, setup, newRecorder()); err != nil {
		return nil, err
	}
	s.store, err = s.backend.opener.Open(ctx, service.StoreSetup{Policy: s.backend.opener.Policy(), Observed: s.observed})
	return s, err
}

// bareStore is a running event store and its clients.
type bareStore struct {
	setup    scenario.Setup
	observed *observe.Providers
	backend  *backend
	store    eventstore.GuardedStore
	recorder *history.Recorder
}

const (
	askRead   = "read"
	askAppend = "append"
	conflict  = "conflict"
)

// Labels implements scenario.System.
func (s *bareStore) Labels() scenario.Labels {
	return scenario.Labels{About: fmt.Sprintf("Clients read and append to %d streams of an event store on %s.", streams, s.backend.name), Kinds: []string{askRead, askAppend},
		Outcomes: []report.Value{{Name: gotDone, Tone: report.Good}, {Name: conflict, Tone: report.Neutral}, {Name: gotUnavailable, Tone: report.Refuse}, {Name: gotUnknown, Tone: report.Refuse}, {Name: gotError, Tone: report.Bad}}}
}

// Dependencies implements scenario.DependencyReporter.
func (s *bareStore) Dependencies() []scenario.Dependency {
	if s.backend.nodes == nil {
		return nil
	}
	return s.backend.nodes()
}

// ApplyFaults implements scenario.FaultApplier.
func (s *bareStore) ApplyFaults(ctx context.Context) error {
	if s.backend.harm == nil {
		return nil
	}
	return s.backend.harm(ctx)
}

// Send implements scenario.System. It sends either a read, or a read followed by an append that
// depends on what was read.
func (s *bareStore) Send(ctx context.Context, n int) load.Sample {
	ctx, cancel := context.WithTimeout(ctx, s.setup.Scenario.Deadline)
	defer cancel()
	chance := rand.New(rand.NewPCG(s.setup.Scenario.Seed, uint64(n)))
	stream := fmt.Sprintf("s-%d", chance.IntN(streams))
	sample := load.Sample{ID: fmt.Sprintf("%s-%d-%d", s.setup.Scenario.Name, s.setup.Scenario.Seed, n), Kind: askRead}
	ctx, err := chaos.WithRequest(ctx, sample.ID)
	if err != nil {
		sample.Outcome, sample.Means, sample.Detail = gotError, load.Wrong, err.Error()
		return sample
	}
	version, err := s.read(ctx, n, stream)
	if err == nil && chance.IntN(10) < 6 {
		sample.Kind = askAppend
		sample.Outcome, err = s.append(ctx, n, eventstore.Commit{ID: "c-" + sample.ID, Stream: stream, Expected: version,
			Events: []eventstore.Event{{Type: "tick", Schema: 1, Occurred: time.Now(), Recorded: time.Now(), Data: []byte(`{}`)}}})
	} else if err == nil {
		sample.Outcome = gotDone
	}
	switch {
	case err == nil:
		sample.Means = load.Right
	case errors.Is(err, eventstore.ErrInvalid) && !errors.Is(err, eventstore.ErrFenced), errors.Is(err, eventstore.ErrCorrupt):
		sample.Outcome, sample.Means, sample.Detail = gotError, load.Wrong, err.Error()
	default:
		if sample.Outcome == "" {
			sample.Outcome = gotUnavailable
		}
		sample.Means, sample.Detail = load.Refused, err.Error()
	}
	return sample
}

// read reads a whole stream, as a decision does.
func (s *bareStore) read(ctx context.Context, client int, stream string) (int64, error) {
	p := s.recorder.Read(client, stream)
	saw, version, err := whole(ctx, s.store, stream)
	if err == nil {
		p.Saw(saw)
	}
	return version, err
}

func whole(ctx context.Context, store eventstore.Loader, stream string) (saw []history.Event, version int64, err error) {
	version, err = eventstore.LoadAll(ctx, store, eventstore.Query{Stream: stream}, func(page []eventstore.Event) error {
		for _, e := range page {
			saw = append(saw, history.Event{Version: e.Version, Commit: e.Commit})
		}
		return nil
	})
	// If a stream grew between two pages, the version that was read is that of the last event.
	if n := len(saw); n > 0 {
		version = saw[n-1].Version
	}
	return saw, version, err
}

// append appends a commit. If there is no answer, it finds out whether the commit was stored,
// either by Resolve or by sending the same commit again.
func (s *bareStore) append(ctx context.Context, client int, c eventstore.Commit) (string, error) {
	half, cancel := context.WithTimeout(ctx, s.setup.Scenario.Deadline/4)
	defer cancel()
	p := s.recorder.Append(client, c.Stream, c.ID, c.Expected, len(c.Events))
	a, err := s.store.Append(half, c)
	if a.Outcome == eventstore.Unknown {
		if client%2 == 0 {
			a, err = s.store.Resolve(ctx, c.Stream, c.ID)
		} else if a, err = s.store.Append(ctx, c); a.Outcome == eventstore.Rejected {
			a.Outcome = eventstore.Unknown // The rejection applies only to the second attempt.
		}
	}
	switch a.Outcome {
	case eventstore.Applied:
		p.Applied(0)
		return gotDone, nil
	case eventstore.Conflict:
		p.Conflict(a.Version)
		return conflict, nil
	case eventstore.Rejected:
		p.Rejected()
		return gotUnavailable, err
	}
	return gotUnknown, err
}

// Judge implements scenario.System. The history is stored next to the data.
func (s *bareStore) Judge(ctx context.Context, _ []load.Sample) ([]report.Check, error) {
	var checks []report.Check
	if s.backend.check != nil {
		checks = append(checks, s.backend.check(ctx))
	}
	h, final := s.recorder.History(), map[string][]history.Event{}
	if err := s.keep(h); err != nil {
		return nil, err
	}
	for n := range streams {
		stream := fmt.Sprintf("s-%d", n)
		var saw []history.Event
		err := patiently(ctx, func() (err error) {
			saw, _, err = whole(ctx, s.store, stream)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("read %s at the end: %w", stream, err)
		}
		final[stream] = saw
	}
	return append(checks, h.Judge(final)...), nil
}

func (s *bareStore) keep(h history.History) (err error) {
	f, err := os.Create(filepath.Join(s.setup.Dir, "history.jsonl"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return h.Write(f)
}

// Close implements scenario.System.
func (s *bareStore) Close(ctx context.Context) error {
	var errs []error
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	if s.backend != nil {
		errs = append(errs, s.backend.end())
	}
	if s.observed != nil {
		errs = append(errs, s.observed.Shutdown(ctx))
	}
	return errors.Join(errs...)
}
