package resilience

import (
	"container/list"
	"context"
	"sync"
	"time"

	"github.com/backstay-go/backstay/resilience/internal/clock"
)

// LastGood remembers the last good value a key, and serves it, by the operation's
// StalePolicy, when the call fails or while it is fresh. Safe for concurrent use.
// It holds at most the number of values it was made for, and drops the least
// recently used. It needs no closing. Its zero value is refused by Do. Values are
// shared, not copied: don't change what a value refers to.
type LastGood[T any] struct {
	limit int

	mu      sync.Mutex
	entries map[string]*list.Element // of *remembered[T]
	used    list.List                // newest use first
}

// remembered is one value.
//
//	fresh ──(older than RefreshAhead, on use)──▶ fresh, and one call refreshes it
//	fresh ──(older than FreshFor)──▶ serves only if the call fails
//	serves if the call fails ──(older than MaxAge)──▶ serves no more
//	any ──(a call succeeded)──▶ fresh
type remembered[T any] struct {
	key        string
	value      T
	at         time.Time
	refreshing bool
}

// NewLastGood returns a memory of at most limit values. A limit below 1 is
// refused by the first Do that uses it, with ErrPolicy.
func NewLastGood[T any](limit int) *LastGood[T] {
	return &LastGood[T]{limit: limit, entries: map[string]*list.Element{}}
}

// For ties one call to the value remembered under key. A nil memory is refused by Do.
func (l *LastGood[T]) For(key string) CallOption[T] {
	if l == nil {
		l = &LastGood[T]{}
	}
	return CallOption[T]{last: l, key: key}
}

// Forget drops the value under key, for example because it was deleted.
func (l *LastGood[T]) Forget(key string) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.entries[key]; e != nil {
		l.used.Remove(e)
		delete(l.entries, key)
	}
}

// DoNotStore says, from within a call, that the value it is about to return must not
// be served later: a LastGood does not keep it, and drops what it kept under the same
// key. A client library uses it for answers that forbid it (Cache-Control: no-store).
// Outside a guarded call it does nothing.
func DoNotStore(ctx context.Context) {
	if a := attemptOf(ctx); a != nil {
		a.doNotStore.Store(true)
	}
}

// remember keeps a value, or drops what is kept if the value must not be.
func (l *LastGood[T]) remember(key string, v T, now time.Time, doNotStore bool) {
	if doNotStore {
		l.Forget(key)
		return
	}
	l.put(key, v, now)
}

func (l *LastGood[T]) put(key string, v T, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.entries[key]; e != nil {
		*e.Value.(*remembered[T]) = remembered[T]{key: key, value: v, at: now}
		l.used.MoveToFront(e)
		return
	}
	l.entries[key] = l.used.PushFront(&remembered[T]{key: key, value: v, at: now})
	if l.used.Len() > l.limit {
		oldest := l.used.Back()
		l.used.Remove(oldest)
		delete(l.entries, oldest.Value.(*remembered[T]).key)
	}
}

// get returns the value under key and its age.
func (l *LastGood[T]) get(key string, c *clock.Clock) (v T, old time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entries[key]
	if e == nil {
		return v, 0, false
	}
	l.used.MoveToFront(e)
	m := e.Value.(*remembered[T])
	return m.value, max(0, c.Since(m.at)), true
}

// startRefresh marks the value as being refreshed; false if it is already.
func (l *LastGood[T]) startRefresh(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entries[key]
	if e == nil || e.Value.(*remembered[T]).refreshing {
		return false
	}
	e.Value.(*remembered[T]).refreshing = true
	return true
}

func (l *LastGood[T]) endRefresh(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.entries[key]; e != nil {
		e.Value.(*remembered[T]).refreshing = false
	}
}

// fresh serves a remembered value that is fresh by policy, and starts a refresh
// if it will soon not be.
func fresh[T any](r *run, o *CallOption[T], call func(context.Context) (T, error), opts []CallOption[T]) (res Result[T], ok bool) {
	s := r.cfg.Stale
	v, old, found := o.last.get(o.key, r.cfg.guard.clock)
	if !found || old > s.FreshFor {
		return res, false
	}
	if s.RefreshAhead > 0 && old > s.RefreshAhead && o.last.startRefresh(o.key) {
		refresh(r, o.last, o.key, call, disposeOf(opts))
	}
	return Result[T]{Value: v, Source: Cache, Age: old}, true
}

// refresh makes the call in the background, under the guard's policies, with the
// caller's values but not its deadline. The guard owns the goroutine.
func refresh[T any](r *run, l *LastGood[T], key string, call func(context.Context) (T, error), dispose func(T)) {
	ctx, cfg := context.WithoutCancel(r.ctx), r.cfg
	started := cfg.guard.task(func(ending context.Context) {
		defer l.endRefresh(key)
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(ending, cancel)()
		r := run{ctx: ctx, cfg: cfg, apart: true}
		v, _, err := attempts(&r, call, []CallOption[T]{{dispose: dispose}})
		if err == nil {
			l.remember(key, v, cfg.guard.clock.Now(), r.doNotStore)
		}
	})
	if !started {
		l.endRefresh(key)
	}
}

func disposeOf[T any](opts []CallOption[T]) func(T) {
	for i := range opts {
		if opts[i].dispose != nil {
			return opts[i].dispose
		}
	}
	return nil
}
