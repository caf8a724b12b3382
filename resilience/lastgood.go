package resilience

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/backstay-go/backstay/internal/lru"
	"github.com/backstay-go/backstay/resilience/internal/clock"
)

// LastGood remembers the last good value per key. It serves it when the call fails, or
// instead of a call while the value is fresh, as the operation's StalePolicy says. When
// its bounds are reached it drops the least recently used values. It also drops values
// that are older than the MaxAge of the operation that stored them. If two calls for
// one key succeed, the value of the call that began later is kept.
//
// It is safe for concurrent use and needs no closing. Its zero value is refused by Do.
// Values are shared, not copied: do not change what a value refers to.
type LastGood[T any] struct {
	limit int
	size  func(T) int64 // nil if only the number of values is bounded

	mu      sync.Mutex
	entries *lru.Cache[string, *remembered[T]]
	// turn counts the calls of Forget. forgotten holds, per key, the turn and the time
	// at which the key was last forgotten. Values of calls that began before that are
	// not kept. floor applies to all keys that are no longer in forgotten.
	turn      uint64
	forgotten *lru.Cache[string, forgetting]
	floor     forgetting
}

// forgetting is one call of Forget.
type forgetting struct {
	turn uint64
	at   time.Time
}

// remembered is one value.
//
//	fresh ──(older than RefreshAhead, on use)──▶ fresh, and one call refreshes it
//	fresh ──(a refresh failed)──▶ fresh, and no other begins during a pause
//	fresh ──(older than FreshFor)──▶ serves only if the call fails
//	serves if the call fails ──(older than MaxAge)──▶ dropped
//	any ──(a later call succeeded)──▶ fresh
type remembered[T any] struct {
	value T
	at    time.Time // when the attempt that brought it began
	// spread, in [0, 1), is this value's share of freshSpread. It differs from value to
	// value, so that values that were stored together are not refreshed together.
	spread     float64
	refreshing bool
	failures   int       // refreshes that failed in a row
	notBefore  time.Time // no refresh begins before this time
}

// The pause after a failed refresh is drawn from the upper half of a bound. The bound
// doubles from firstRefreshPause to longestRefreshPause.
const (
	firstRefreshPause   = 100 * time.Millisecond
	longestRefreshPause = 30 * time.Second
	// freshSpread is how much a refresh may move, as a share: earlier than FreshFor,
	// or, with RefreshAhead, later than RefreshAhead.
	freshSpread = 0.1
)

// NewLastGood returns a memory of at most limit values. A limit below 1 is refused by
// the first Do that uses it, with ErrPolicy.
func NewLastGood[T any](limit int) *LastGood[T] {
	l := &LastGood[T]{limit: limit}
	l.LimitBytes(0, nil)
	return l
}

// LimitBytes also bounds the sum of the sizes of all values, in the unit that size
// returns. It returns the memory itself. A value that is larger than the bound is not
// kept. Zero: no bound. Call LimitBytes before the memory is used. size is called
// without locks and must be safe for concurrent use.
func (l *LastGood[T]) LimitBytes(most int64, size func(T) int64) *LastGood[T] {
	if size == nil {
		most = 0
	}
	l.size = size
	l.entries = lru.New[string, *remembered[T]](lru.Bounds{Entries: max(l.limit, 1), Size: most}, nil)
	l.forgotten = lru.New(lru.Bounds{Entries: max(l.limit, 1)}, func(_ string, f forgetting) { l.floor = f })
	return l
}

// For connects one call with the value remembered under key. Several may be given to
// one call: all of them are filled, and the first that has a value serves it. Do
// refuses a nil memory. It also refuses an operation without a StalePolicy, because no
// value could ever be served.
func (l *LastGood[T]) For(key string) CallOption[T] {
	if l == nil {
		l = &LastGood[T]{}
	}
	return CallOption[T]{last: l, key: key}
}

// Put stores a value that did not come from a call, for example one that another
// process or an earlier run of this one knew. at is the time at which the value was
// known to be good. A remembered value is replaced only by a later one. For how long
// the value is served depends on the policy of the operation that asks for it.
func (l *LastGood[T]) Put(key string, v T, at time.Time) {
	if l == nil || l.limit < 1 {
		return
	}
	now := time.Now()
	if at.After(now) {
		at = now
	}
	size := l.sizeOf(v)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.putLocked(key, &remembered[T]{value: v, at: at}, size, time.Time{}, now)
}

// Forget drops the value under key, for example because it was deleted. Values of calls
// and refreshes that began before are not remembered.
func (l *LastGood[T]) Forget(key string) {
	if l == nil || l.limit < 1 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries.Delete(key)
	l.turn++
	now := time.Now()
	l.forgotten.Put(key, forgetting{l.turn, now}, 0, time.Time{}, now)
}

// DoNotStore marks, from within a call, the value that the call is about to return as
// one that must not be served later. A LastGood then does not keep it, and drops the
// value that it kept under the same key. Client libraries use it for answers that
// forbid storing (Cache-Control: no-store). Outside a guarded call it does nothing.
func DoNotStore(ctx context.Context) {
	if a := attemptOf(ctx); a != nil {
		a.set(notStored)
	}
}

// now returns the turn for calls that begin at this moment.
func (l *LastGood[T]) now() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.turn
}

// store keeps the value of a call that began at the given turn. If the value must not
// be kept, store drops the one that is remembered instead.
func (l *LastGood[T]) store(key string, r *run, v T, turn uint64) {
	if r.doNotStore {
		l.Forget(key)
		return
	}
	s, g := r.cfg.Stale, r.cfg.guard
	m := &remembered[T]{value: v, at: g.at(r.wonAt), spread: g.clock.Float64()}
	size := l.sizeOf(v)
	l.mu.Lock()
	defer l.mu.Unlock()
	f, ok := l.forgotten.Peek(key)
	if !ok {
		f = l.floor
	}
	if turn < f.turn || r.joined && !m.at.After(f.at) {
		return // this call, or the shared call that it joined, began before
	}
	l.putLocked(key, m, size, m.at.Add(s.MaxAge), g.clock.Now())
}

func (l *LastGood[T]) putLocked(key string, m *remembered[T], size int64, expires, now time.Time) {
	if before, ok := l.entries.Peek(key); ok && before.at.After(m.at) {
		return
	}
	l.entries.Put(key, m, size, expires, now)
}

func (l *LastGood[T]) sizeOf(v T) int64 {
	if l.size == nil {
		return 0
	}
	return l.size(v)
}

// get returns a copy of what is remembered under key, and its age.
func (l *LastGood[T]) get(key string, c *clock.Clock) (m remembered[T], age time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries.Expire(c.Now())
	found, ok := l.entries.Get(key)
	if !ok {
		return m, 0, false
	}
	return *found, max(0, c.Since(found.at)), true
}

// startRefresh marks the value as being refreshed. It returns false if a refresh is
// running already, or if the last one failed and its pause is not over.
func (l *LastGood[T]) startRefresh(key string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	m, ok := l.entries.Peek(key)
	if !ok || m.refreshing || now.Before(m.notBefore) {
		return false
	}
	m.refreshing = true
	return true
}

// endRefresh ends a refresh. If the refresh failed, the value that it was meant to
// replace is kept, and the next refresh has to wait.
func (l *LastGood[T]) endRefresh(key string, failed bool, c *clock.Clock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m, ok := l.entries.Peek(key)
	if !ok {
		return
	}
	m.refreshing = false
	if failed {
		bound := min(firstRefreshPause<<min(m.failures, 16), longestRefreshPause)
		m.failures++
		m.notBefore = c.Now().Add(bound/2 + time.Duration(c.Float64()*float64(bound/2)))
	}
}

// turnsOf appends the turns of all memories among the options to turns.
func turnsOf[T any](opts []CallOption[T], turns []uint64) []uint64 {
	for i := range opts {
		if l := opts[i].last; l != nil {
			turns = append(turns, l.now())
		}
	}
	return turns
}

// storeAll fills all memories among the options. The call began at the given turns.
func storeAll[T any](r *run, opts []CallOption[T], turns []uint64, v T) {
	for i := range opts {
		if o := &opts[i]; o.last != nil {
			o.last.store(o.key, r, v, turns[0])
			turns = turns[1:]
		}
	}
}

// times returns until which age the value is fresh, and from which age it is refreshed
// ahead.
func (m *remembered[T]) times(s *StalePolicy) (fresh, ahead time.Duration) {
	if s.RefreshAhead <= 0 {
		return s.FreshFor - time.Duration(m.spread*freshSpread*float64(s.FreshFor)), math.MaxInt64
	}
	spread := min(freshSpread*float64(s.RefreshAhead), float64(s.FreshFor-s.RefreshAhead)/2)
	return s.FreshFor, s.RefreshAhead + time.Duration(m.spread*spread)
}

// fresh serves a remembered value that is fresh by policy. It starts a refresh if the
// value will soon not be fresh.
func fresh[T any](r *run, call func(context.Context) (T, error), opts []CallOption[T]) (res Result[T], ok bool) {
	s, c := r.cfg.Stale, r.cfg.guard.clock
	for i := range opts {
		o := &opts[i]
		if o.last == nil {
			continue
		}
		m, age, found := o.last.get(o.key, c)
		until, ahead := m.times(s)
		if !found || age > until {
			continue
		}
		if age > ahead && o.last.startRefresh(o.key, c.Now()) {
			refresh(r, o, call, opts)
		}
		return Result[T]{Value: m.value, Source: Cache, Age: age}, true
	}
	return res, false
}

// refresh makes the call in the background under the guard's policies. It has the
// caller's context values, but not the caller's deadline. The guard owns the goroutine.
func refresh[T any](r *run, o *CallOption[T], call func(context.Context) (T, error), opts []CallOption[T]) {
	ctx, cfg, last, key := context.WithoutCancel(r.ctx), r.cfg, o.last, o.key
	kept := slices.Clone(opts)
	turns := turnsOf(kept, nil)
	started := cfg.guard.task(func(ending context.Context) {
		failed := true // also if it panics
		defer func() { last.endRefresh(key, failed, cfg.guard.clock) }()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(ending, cancel)()
		r := run{ctx: ctx, cfg: cfg, apart: true}
		v, _, err := attempts(&r, call, kept)
		if err == nil {
			failed = false
			storeAll(&r, kept, turns, v)
		}
	})
	if !started {
		last.endRefresh(key, false, cfg.guard.clock)
	}
}

// disposeOf returns the Dispose function among the options.
func disposeOf[T any](opts []CallOption[T]) func(T) {
	for i := range opts {
		if opts[i].dispose != nil {
			return opts[i].dispose
		}
	}
	return nil
}
