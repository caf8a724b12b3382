package resilience

import (
	"context"
	"reflect"
	"runtime"
	"sync"

	"golang.org/x/sync/singleflight"
)

// Coalesce shares one call among all that run at the same time on the same
// operation with the same key and type. golang.org/x/sync/singleflight finds them.
// The shared call has a deadline of its own, the operation's timeout from its
// start, and the values and the Dispose of its first caller. One caller's
// cancellation does not fail the others; when all have gone, the call is cancelled
// and what it still brings is disposed of. A panic or Goexit in it reaches every
// caller that waits. Callers that wait for another's call hold no permit.
func Coalesce[T any](key string) CallOption[T] { return CallOption[T]{key: key, coalesce: true} }

// flights are an operation's shared calls.
type flights struct {
	group singleflight.Group

	mu    sync.Mutex
	inAir map[string]*flight
}

// flight is one shared call.
//
//	in the air ──(the call ended)──▶ landed
//	in the air ──(nobody waits any more)──▶ cancelled, and lands later
//
// Its fields are guarded by the flights' mu.
type flight struct {
	waiting int
	cancel  context.CancelFunc
	// unseen deals with what it brought, if nobody waited for it to the end. It is
	// set when the flight lands.
	unseen func()
}

// landed is what a flight brings to everybody.
type landed[T any] struct {
	result   Result[T]
	err      error
	judged   Verdict
	ended    bool
	doNotStore   bool
	panicked *Panic
	exited   bool
}

// fly joins the flight under key, or starts it.
func fly[T any](r *run, key string, call func(context.Context) (T, error), opts []CallOption[T]) (Result[T], error) {
	r.begin(r.cfg.guard.now())
	fs := &r.cfg.op.flights
	key = reflect.TypeFor[T]().String() + "\x00" + key
	ctx, cfg, dispose := r.ctx, r.cfg, disposeOf(opts)
	fs.mu.Lock()
	f := fs.inAir[key]
	if f == nil {
		f = new(flight)
		if fs.inAir == nil {
			fs.inAir = map[string]*flight{}
		}
		fs.inAir[key] = f
		shared, cancel := context.WithCancel(context.WithoutCancel(ctx))
		f.cancel, ctx = cancel, shared
	}
	f.waiting++
	done := fs.group.DoChan(key, func() (any, error) {
		l := board(ctx, cfg, call, dispose)
		fs.land(key, f, func() { l.unseen(cfg.guard, dispose) })
		return l, nil
	})
	fs.mu.Unlock()

	err := r.await(done, fs, key, f)
	if err.failed != nil {
		return Result[T]{}, err.failed
	}
	l, ok := err.result.Val.(*landed[T])
	if !ok { // two types of one name: not the same call after all
		v, from, err := attempts(r, call, opts)
		return Result[T]{Value: v, Source: from, Attempts: r.attempts}, err
	}
	switch {
	case l.panicked != nil:
		panic(l.panicked)
	case l.exited:
		runtime.Goexit()
	}
	r.judged, r.ended, r.doNotStore, r.attempts = l.judged, l.ended, l.doNotStore, l.result.Attempts
	return l.result, l.err
}

// awaited is a flight's result, or the error of a caller that left before.
type awaited struct {
	result singleflight.Result
	failed error
}

// await waits for the flight, or until this caller's own time is up.
func (r *run) await(done <-chan singleflight.Result, fs *flights, key string, f *flight) awaited {
	ctx, cancel := r.cfg.guard.clock.WithDeadline(r.ctx, r.cfg.guard.at(r.deadline))
	defer cancel()
	select {
	case result := <-done:
		return awaited{result: result}
	case <-ctx.Done():
		fs.leave(key, f)
		return awaited{failed: r.failed(ctx.Err(), gaveBy(ctx.Err()))}
	}
}

// leave is called by a caller that does not wait for the flight's end. The last one
// cancels the call; if it has landed meanwhile, nobody saw what it brought.
func (fs *flights) leave(key string, f *flight) {
	fs.mu.Lock()
	f.waiting--
	var unseen func()
	if f.waiting == 0 {
		fs.endLocked(key, f)
		unseen = f.unseen
	}
	fs.mu.Unlock()
	if unseen != nil {
		unseen()
	}
}

// land is called when the shared call is over; who comes next starts another.
func (fs *flights) land(key string, f *flight, unseen func()) {
	fs.mu.Lock()
	fs.endLocked(key, f)
	f.unseen = unseen
	waiting := f.waiting
	fs.mu.Unlock()
	if waiting == 0 {
		unseen()
	}
}

func (fs *flights) endLocked(key string, f *flight) {
	f.cancel()
	if fs.inAir[key] == f {
		fs.group.Forget(key)
		delete(fs.inAir, key)
	}
}

// unseen disposes of what nobody waited for.
func (l *landed[T]) unseen(g *Guard, dispose func(T)) {
	switch {
	case l.panicked != nil:
		g.lostPanics.Add(1)
	case l.exited, l.err != nil:
	default:
		discard(g, l.result.Value, dispose)
	}
}

// board makes the shared call. It always returns: singleflight must see neither a
// panic nor a Goexit, of which the first would end the process and the second
// leave callers without an answer.
func board[T any](ctx context.Context, cfg *opConfig, call func(context.Context) (T, error), dispose func(T)) *landed[T] {
	l := &landed[T]{exited: true}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if p := recover(); p != nil {
				l.panicked, l.exited = panicOf(p), false
			}
		}()
		r := run{ctx: ctx, cfg: cfg, apart: true}
		l.result.Value, l.result.Source, l.err = attempts(&r, call, []CallOption[T]{{dispose: dispose}})
		l.result.Attempts, l.judged, l.ended, l.doNotStore, l.exited = r.attempts, r.judged, r.ended, r.doNotStore, false
	}()
	<-done
	return l
}
