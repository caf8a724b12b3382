package repository

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// ErrBusy: a stream's commands came too fast, in this process or in others. Nothing was stored.
var ErrBusy = errors.New("repository: the stream is busy")

// queues lets the commands of one stream pass one at a time, in the order in which they came. It
// is safe for concurrent use.
type queues struct {
	limit int

	mu       sync.Mutex
	byStream map[string]*queue
}

// queue is the queue of one stream. It exists while a command has its turn. Its fields are guarded
// by the lock of queues.
type queue struct {
	stream  string
	since   time.Time // when the turn in progress began
	waiting []*waiter
	// average is the moving average of a turn's length, and turns the number of turns that ended.
	average time.Duration
	turns   int
}

// waiter is a command that waits for its turn; ready is closed when it comes.
type waiter struct{ ready chan struct{} }

func newQueues(limit int) *queues { return &queues{limit: limit, byStream: map[string]*queue{}} }

// enter waits for the turn of a command of the stream. The caller must end the turn by leave. A
// command whose deadline would pass before its turn comes, judging by the turns so far, is refused
// at once, as is one too many.
func (q *queues) enter(ctx context.Context, stream string) (*queue, error) {
	q.mu.Lock()
	one, taken := q.byStream[stream]
	if !taken {
		one = &queue{stream: stream, since: time.Now()}
		q.byStream[stream] = one
		q.mu.Unlock()
		return one, nil
	}
	if err := q.admit(ctx, one); err != nil {
		q.mu.Unlock()
		return nil, err
	}
	w := &waiter{ready: make(chan struct{})}
	one.waiting = append(one.waiting, w)
	before := one.turns
	q.mu.Unlock()
	select {
	case <-w.ready:
		return one, nil
	case <-ctx.Done():
		return nil, q.giveUp(ctx, one, w, before)
	}
}

// admit refuses a command that would wait in vain. The caller holds the lock.
func (q *queues) admit(ctx context.Context, one *queue) error {
	ahead := len(one.waiting) + 1
	if ahead > q.limit {
		return fmt.Errorf("%w: %d commands of %s wait already", ErrBusy, len(one.waiting), one.stream)
	}
	if deadline, ok := ctx.Deadline(); ok {
		if wait, left := time.Duration(ahead)*one.average, time.Until(deadline); wait > left {
			return fmt.Errorf("%w: the turn of a command of %s would come in about %s, and there is time for %s", ErrBusy, one.stream, wait, left)
		}
	}
	return nil
}

// giveUp ends the wait of a command whose context has ended. If no turn ended meanwhile, the
// reason is not that the stream is busy, but whatever keeps the command that has its turn.
func (q *queues) giveUp(ctx context.Context, one *queue, w *waiter, before int) error {
	q.mu.Lock()
	at := slices.Index(one.waiting, w)
	if at >= 0 {
		one.waiting = slices.Delete(one.waiting, at, at+1)
	}
	moved := one.turns > before
	q.mu.Unlock()
	if at < 0 { // Its turn came at the same moment.
		q.leave(one)
	}
	if moved {
		return fmt.Errorf("%w: the turn of a command of %s did not come in time: %w", ErrBusy, one.stream, ctx.Err())
	}
	return fmt.Errorf("repository: the command of %s before this one was not answered in time: %w", one.stream, ctx.Err())
}

// leave ends a turn, and begins the next one.
func (q *queues) leave(one *queue) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	took := now.Sub(one.since)
	if one.turns == 0 {
		one.average = took
	} else {
		one.average += (took - one.average) / 4
	}
	one.turns++
	one.since = now
	if len(one.waiting) == 0 {
		delete(q.byStream, one.stream)
		return
	}
	next := one.waiting[0]
	one.waiting = slices.Delete(one.waiting, 0, 1)
	close(next.ready)
}
