package resilience

import (
	"context"
	"errors"
	"reflect"
	"runtime"
	"sync"
	"sync/atomic"
)

// Coalesce makes one call for all callers that ask at the same time on the same
// operation with the same key and type.
//
// The deadline of the shared call is the operation's timeout, counted from its start.
// Its context values and its Dispose are those of the first caller. Everything else
// follows the callers that wait for it: the shared call has the best class among them,
// and it may be repeated unless all of them are repeats. The cancellation or time-out
// of one caller does not fail the others. When all callers have gone, the call is
// cancelled, and a value that it still returns is disposed of. If the shared call runs
// out of time or is refused, a caller that joined it and has time left joins another or
// starts one. A panic or Goexit in the call reaches every caller that waits.
//
// Callers that wait for another caller's call hold no permit. A call that is made from
// within the shared call of the same key is not coalesced, because it would wait for
// its own end.
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
	// around is the shared call from within which this one is made, or nil. It never
	// changes.
	around *sharedCall
	// class is the best class of all callers that ever waited. original is set if at
	// least one of them was not a repeat. Both are read without the lock.
	class    atomic.Int32
	original atomic.Bool
	// queued is the call's place in the bulkhead's queue; read without the lock.
	queued atomic.Pointer[waiter]
	// attempts counts the attempts that were started. abandoned is set if no further
	// one may start.
	attempts  int
	abandoned bool
	// unseen handles the call's value if nobody waited to the end. It is set when the
	// call finishes.
	unseen func()
	// done is closed when the call has finished. result, a *finished of the call's
	// type, is set before that.
	done   chan struct{}
	result any
}

// finished is the outcome of a shared call, for all its callers.
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

// refusalRounds is how many further shared calls a caller joins after a refused one.
const refusalRounds = 2

// coalesced joins the shared call under key, or starts it.
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

// join returns the shared call under id, for which the caller waits from now on. leads
// is true if the call is new and the caller must start it. own is true if the caller
// runs within that very call.
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

// leave is called by a caller that does not wait for the end. The last one to leave
// cancels the call. If the call has finished meanwhile, nobody has seen its value.
// leave returns how many attempts were started; after the last caller has left, no
// further one is.
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

// finish is called when the shared call is over. The next caller starts another.
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

// lead makes the shared call on a separate goroutine, and finishes it however the call
// ends.
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

// unseen disposes of a value for which nobody waited.
func (f *finished[T]) unseen(g *Guard, dispose func(T)) {
	switch {
	case f.panicked != nil:
		g.lostPanics.Add(1)
	case f.exited, f.err != nil:
	default:
		discard(g, f.result.Value, dispose)
	}
}
