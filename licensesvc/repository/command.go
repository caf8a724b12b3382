package repository

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
)

const (
	// maxLost limits how often a command is decided again because another process was first. It is
	// high because the command's deadline usually comes first.
	maxLost = 100
	// maxFenced limits how often a command gets another commit id.
	maxFenced = 16
	// longestPause is the longest pause before a command is decided again.
	longestPause = 20 * time.Millisecond
)

var (
	// ErrUndecided: it is not known whether the commit is stored, and it could not be found out
	// in time. The same command with the same commit id finds out.
	ErrUndecided = errors.New("repository: the outcome of the append is not known")
	// ErrClosed: the store closed one commit id after the other.
	ErrClosed = errors.New("repository: the event store did not take the commit, again and again, and closed it")
)

// Command is a change of a stream.
type Command[S, E any] struct {
	// Decide returns the events to append, and the state after them. No events: there is nothing
	// to append, because the command was carried out before, or is not allowed; the state on which
	// that was decided was read for this command. Decide may be called several times. An error
	// ends the command.
	Decide func(ctx context.Context, now Folded[S]) (events []E, next S, err error)
	// Commit makes the commit of the events; stream and expected version are filled in. fenced
	// counts the commit ids of this command that can't be used any more. For one value the id must
	// always be the same, so that a command that is sent again finds its commit.
	Commit func(ctx context.Context, fenced int, events []E) (eventstore.Commit, error)
}

// Result is the result of a command.
type Result[S any] struct {
	// Folded is the state after the command.
	Folded[S]
	// Applied says that the events are stored. It is false if there were none.
	Applied bool
	// Repeated says that the commit was stored before, perhaps with other events.
	Repeated bool
}

// Do decides a command and appends its events. Commands of one stream wait for each other. The
// error is ErrBusy, ErrUndecided, ErrClosed, that of Decide or Commit, or the store's; with
// eventstore.ErrMismatch the result still has the state.
func (r *Repository[S, E]) Do(ctx context.Context, stream string, c Command[S, E]) (Result[S], error) {
	turn, err := r.queues.enter(ctx, stream)
	if err != nil {
		return Result[S]{}, err
	}
	defer r.queues.leave(turn)
	w := &work[S, E]{repository: r, stream: stream, command: c}
	return w.do(ctx)
}

// work is a command that has its turn.
type work[S, E any] struct {
	repository *Repository[S, E]
	stream     string
	command    Command[S, E]
	now        Folded[S]
	// fresh says that now was read from the store, or learnt from an append, for this command.
	fresh        bool
	lost, fenced int
}

func (w *work[S, E]) do(ctx context.Context) (Result[S], error) {
	// A remembered state is safe to decide on, because a successful append proves that it was the
	// newest. A state that was only shown may come from another region, and is read on first.
	var remembered bool
	if w.now, remembered = w.repository.cache.get(w.stream); !remembered || w.now.shown {
		if err := w.reload(ctx); err != nil {
			return Result[S]{}, err
		}
	}
	for {
		events, next, err := w.decide(ctx)
		if err != nil || len(events) == 0 {
			return Result[S]{Folded: w.now}, err
		}
		commit, err := w.command.Commit(ctx, w.fenced, events)
		if err != nil {
			return Result[S]{Folded: w.now}, err
		}
		commit.Stream, commit.Expected = w.stream, w.now.Version
		at := w.repository.clock()
		done, err := w.append(ctx, commit)
		switch {
		case done.Outcome == eventstore.Applied:
			return w.applied(ctx, at, done, next, len(events))
		case done.Outcome == eventstore.Conflict:
			err = w.follow(ctx, done)
		case done.Outcome == eventstore.ConditionFailed:
			err = w.competed(ctx, "events with the tag "+done.FailedTag)
		case done.Outcome == eventstore.Rejected && err == nil:
			err = w.again(ctx)
		default:
			return Result[S]{Folded: w.now}, err
		}
		if err != nil {
			return Result[S]{Folded: w.now}, err
		}
	}
}

// decide decides on the state. A decision without events has no append that proves that the state
// was the newest, so it is made on a fresh one.
func (w *work[S, E]) decide(ctx context.Context) (events []E, next S, err error) {
	for {
		events, next, err = w.command.Decide(ctx, w.now)
		if err != nil || len(events) > 0 || w.fresh {
			return events, next, err
		}
		if err := w.reload(ctx); err != nil {
			return nil, next, err
		}
	}
}

func (w *work[S, E]) reload(ctx context.Context) error {
	now, err := w.repository.Load(ctx, w.stream)
	if err != nil {
		return err
	}
	w.now, w.fresh = now, true
	return nil
}

// append appends, and finds out whether the commit was stored if there was no answer. The outcome
// Rejected without an error means that the commit can never be stored.
func (w *work[S, E]) append(ctx context.Context, c eventstore.Commit) (eventstore.Appended, error) {
	store := w.repository.store
	done, err := store.Append(ctx, c)
	switch {
	case errors.Is(err, eventstore.ErrFenced):
		return eventstore.Appended{Outcome: eventstore.Rejected}, nil
	case done.Outcome != eventstore.Unknown:
		return done, err
	}
	found, lost := store.Resolve(ctx, c.Stream, c.ID)
	if lost != nil || found.Outcome == eventstore.Unknown {
		return eventstore.Appended{}, errors.Join(ErrUndecided, err, lost)
	}
	return found, nil
}

// applied returns the state after an append. It is the one that was decided, unless the commit
// was stored before: then it may be elsewhere in the stream.
func (w *work[S, E]) applied(ctx context.Context, at time.Time, done eventstore.Appended, next S, n int) (Result[S], error) {
	if done.Repeated || done.Version != w.now.Version+int64(n) || len(done.Events) != n {
		if err := w.reload(ctx); err != nil {
			return Result[S]{}, err
		}
		return Result[S]{Folded: w.now, Applied: true, Repeated: done.Repeated}, nil
	}
	now := w.now
	now.State, now.Version, now.At, now.Source, now.last = next, done.Version, at, SourceLive, done.Events[n-1].ID
	return Result[S]{Folded: w.repository.remember(w.stream, now), Applied: true}, nil
}

// follow folds the events of the process that was first. There may be more of them than one
// answer holds.
func (w *work[S, E]) follow(ctx context.Context, done eventstore.Appended) error {
	at := w.repository.clock()
	now, err := w.repository.foldOn(w.now, done.Events)
	switch {
	case err != nil:
		return err
	case now.Version != done.Version:
		err = w.reload(ctx)
	default:
		now.At, now.Source = at, SourceLive
		w.now, w.fresh = w.repository.remember(w.stream, now), true
	}
	if err != nil {
		return err
	}
	return w.competed(ctx, "a command of "+w.stream)
}

// competed counts that others were first, and makes the command wait if that happens again and
// again. Decide then reads anew what it depends on besides the stream.
func (w *work[S, E]) competed(ctx context.Context, stored string) error {
	w.lost++
	if w.lost >= maxLost {
		return fmt.Errorf("%w: decided %d times, and each time others stored %s first", ErrBusy, w.lost, stored)
	}
	if w.lost < 3 {
		return nil
	}
	return pause(ctx, w.lost)
}

// again prepares another decision after the commit was fenced while its outcome was unknown. It
// gets another commit id.
func (w *work[S, E]) again(ctx context.Context) error {
	w.fenced++
	if w.fenced >= maxFenced {
		return ErrClosed
	}
	return w.reload(ctx)
}

// pause waits for a random time, so that processes that compete do not do so in step.
func pause(ctx context.Context, lost int) error {
	timer := time.NewTimer(rand.N(min(time.Millisecond<<min(lost, 10), longestPause)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
