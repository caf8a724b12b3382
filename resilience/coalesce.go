package resilience

import (
	"context"
	"errors"
	"reflect"
	"runtime"
	"sync"
	"sync/atomic"
)

// Coalesce shares one call among all that run at the same time on the same operation
// with the same key and type.
//
// The shared call has a deadline of its own, the operation's timeout from its start,
// and the values and the Dispose of its first caller. What else it has follows those
// that wait for it: it has the best class among them, and may be repeated unless all
// of them are repeats. One caller's cancellation or time-out does not fail the others;
// when all have gone, the call is cancelled and what it still brings is disposed of. A
// caller that joined, and whose own time is not up when the shared call ran out of
// time or was refused, joins or makes another. A panic or Goexit in the call reaches
// every caller that waits.
//
// Callers that wait for another's call hold no permit. A call that is made from within
// the shared call of the same key is made for itself, as it would wait for its own end.
func Coalesce[T any](key string) CallOption[T] { return CallOption[T]{key: key, coalesce: true} }

// flightKey tells shared calls apart.
type flightKey struct {
	of  reflect.Type
	key string
}

// inflight are an operation's shared calls.
type inflight struct {
	mu    sync.Mutex
	calls map[flightKey]*sharedCall
}

// sharedCall is one shared call.
//
//	runs ──(the call ended)──▶ finished
//	runs ──(nobody waits any more)──▶ cancelled, and finishes later
//
// Fields without another comment are guarded by the inflight's mu.
type sharedCall struct {
	waiting int
	ctx     context.Context // the call's own; never changes
	cancel  context.CancelFunc
	// around is the shared call from within which this one is made, or nil; never changes.
	around *sharedCall
	// class is the best of those that ever waited, and original says that one of them was
	// no repeat. Both are read without the lock.
	class    atomic.Int32
	original atomic.Bool
	// queued is the call's place in the bulkhead's queue; read without the lock.
	queued atomic.Pointer[waiter]
	// attempts that were started; abandoned: no further one may.
	attempts  int
	abandoned bool
	// unseen deals with what the call brought if nobody waited to the end. It is set when
	// the call finishes.
	unseen func()
	// done is closed when it has finished; result, a *finished of its type, is
	// set before.
	done   chan struct{}
	result any
}

// finished is what a shared call brings to everybody.
type finished[T any] struct {
	result     Result[T]
	err        error
	judged     Verdict
	ended      bool
	doNotStore bool
	wonAt      int64
	panicked   *Panic
	exited     bool
}

// refusalRounds is how often a caller joins another shared call after a refused one.
const refusalRounds = 2

// coalesced joins the shared call under key, or makes it.
func coalesced[T any](r *run, key string, call func(context.Context) (T, error), opts []CallOption[T]) (Result[T], error) {
	r.begin(r.cfg.guard.now())
	r.fresh = false
	id := flightKey{reflect.TypeFor[T](), key}
	for round := 0; ; round++ {
		if err := endOf(r.ctx); err != nil {
			return Result[T]{Attempts: r.attempts}, r.failed(err, gaveBy(err))
		}
		c, leads, own := r.cfg.op.inflight.join(r, id)
		if own {
			v, from, err := attempts(r, call, opts)
			return Result[T]{Value: v, Source: from, Attempts: r.attempts}, err
		}
		if leads {
			go lead(c, id, r.cfg, call, disposeOf(opts))
		}
		if err := r.await(id, c); err != nil {
			return Result[T]{Attempts: r.attempts}, err
		}
		f := c.result.(*finished[T])
		refused := f.err != nil && errors.Is(f.err, ErrRefused)
		if !leads && f.ended && r.cfg.guard.now() < r.deadline && (!refused || round < refusalRounds) && !errors.Is(f.err, ErrClosed) {
			continue
		}
		switch {
		case f.panicked != nil:
			panic(f.panicked.value())
		case f.exited:
			runtime.Goexit()
		}
		r.joined = !leads
		r.judged, r.ended, r.doNotStore, r.attempts, r.wonAt = f.judged, f.ended, f.doNotStore, f.result.Attempts, f.wonAt
		return f.result, f.err
	}
}

// join returns the shared call under id, which the caller waits for from now on. leads:
// it is new, and the caller must start it. own: it is one that the caller is part of.
func (in *inflight) join(r *run, id flightKey) (c *sharedCall, leads, own bool) {
	m := markOf(r.ctx)
	class := r.cfg.Criticality
	if m.classSet {
		class = min(class, m.class)
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	c = in.calls[id]
	for around := m.shared; around != nil && c != nil; around = around.around {
		if around == c {
			return nil, false, true
		}
	}
	if c == nil {
		leads = true
		c = &sharedCall{around: m.shared, done: make(chan struct{})}
		c.class.Store(int32(class))
		if in.calls == nil {
			in.calls = map[flightKey]*sharedCall{}
		}
		in.calls[id] = c
	}
	c.waiting++
	if !m.retried {
		c.original.Store(true)
	}
	if int32(class) > c.class.Load() {
		c.class.Store(int32(class))
		if w := c.queued.Load(); w != nil {
			r.cfg.guard.bulkhead.raise(w, int(class-Sheddable))
		}
	}
	if leads {
		m.shared, m.follows = c, true
		ctx := context.WithValue(context.WithoutCancel(r.ctx), markKey{}, &m)
		c.ctx, c.cancel = context.WithCancel(ctx)
	}
	return c, leads, false
}

// await waits for the shared call, or until this caller's own time is up.
func (r *run) await(id flightKey, c *sharedCall) error {
	ctx, cancel := r.cfg.guard.clock.WithDeadline(r.ctx, r.cfg.guard.at(r.deadline))
	defer cancel()
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		r.attempts = r.cfg.op.inflight.leave(id, c)
		end := endOf(r.ctx)
		if end == nil {
			end = r.timeUp()
		}
		return r.failed(end, gaveBy(end))
	}
}

// leave is called by a caller that does not wait for the end. The last one cancels the
// call; if it has finished meanwhile, nobody saw what it brought. It returns how many
// attempts were started; after the last caller has left none is any more.
func (in *inflight) leave(id flightKey, c *sharedCall) (attempts int) {
	in.mu.Lock()
	c.waiting--
	var unseen func()
	if c.waiting == 0 {
		c.abandoned = true
		in.endLocked(id, c)
		unseen = c.unseen
	}
	attempts = c.attempts
	in.mu.Unlock()
	if unseen != nil {
		unseen()
	}
	return attempts
}

// mayStart counts an attempt of the call, unless all callers have left.
func (in *inflight) mayStart(c *sharedCall) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if c.abandoned {
		return false
	}
	c.attempts++
	return true
}

// finish is called when the shared call is over; whoever comes next starts another.
func (in *inflight) finish(id flightKey, c *sharedCall, result any, unseen func()) {
	in.mu.Lock()
	in.endLocked(id, c)
	c.result, c.unseen = result, unseen
	close(c.done)
	waiting := c.waiting
	in.mu.Unlock()
	if waiting == 0 {
		unseen()
	}
}

func (in *inflight) endLocked(id flightKey, c *sharedCall) {
	c.cancel()
	if in.calls[id] == c {
		delete(in.calls, id)
	}
}

// lead makes the shared call, on a goroutine of its own, and finishes it whatever way
// it ends.
func lead[T any](c *sharedCall, id flightKey, cfg *opConfig, call func(context.Context) (T, error), dispose func(T)) {
	f := &finished[T]{exited: true}
	defer func() {
		cfg.op.inflight.finish(id, c, f, func() { f.unseen(cfg.guard, dispose) })
	}()
	defer func() {
		if p := recover(); p != nil {
			f.panicked, f.exited = panicOf(p), false
		}
	}()
	r := run{ctx: c.ctx, cfg: cfg, apart: true, shared: c}
	f.result.Value, f.result.Source, f.err = attempts(&r, call, []CallOption[T]{{dispose: dispose}})
	f.result.Attempts, f.judged, f.ended, f.doNotStore, f.wonAt, f.exited = r.attempts, r.judged, r.ended, r.doNotStore, r.wonAt, false
}

// unseen disposes of what nobody waited for.
func (f *finished[T]) unseen(g *Guard, dispose func(T)) {
	switch {
	case f.panicked != nil:
		g.lostPanics.Add(1)
	case f.exited, f.err != nil:
	default:
		discard(g, f.result.Value, dispose)
	}
}
