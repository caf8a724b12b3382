package resilience

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/backstay-go/backstay/resilience/internal/clock"
)

// maxPermits bounds limits and queues, so that both fit one word.
const maxPermits = 1 << 30

// bulkhead bounds how many calls run at once, and how many wait to.
//
//	came ──(a permit is free, and nobody waits)──▶ holds a permit
//	came ──(none is free, there is room to wait)──▶ waits
//	came ──(wait or work would outlast the deadline)──▶ refused
//	came ──(no room, nobody less important waits)──▶ refused
//	waits ──(a permit came back, and it is its turn)──▶ holds a permit
//	waits ──(no room for a more important call)──▶ refused
//	waits ──(MaxWait, deadline, or its caller left)──▶ gone
//	holds a permit ──(the work has really ended)──▶ the permit comes back
//
// The next permit goes to the highest class that waits. Within a class it goes to the
// oldest waiter or, with LIFO and under overload, to the newest. If the queue is full,
// the newest waiter of the lowest class has to make room. The bulkhead is under
// overload when the oldest waiter has waited for more than half the time in which a
// full queue drains.
//
// Observed: how long permits were held, for all calls together and for each operation
// by itself. From that the bulkhead estimates how long a wait will be. Not observed:
// refusals, waits, and permits that were not used.
//
// The numbers of permits in use and of waiters share one word, so that taking a permit,
// giving it back and starting to wait are one atomic step each. No permit can come back
// unnoticed between a caller's look at the limit and its entry into the queue.
//
// Safe for concurrent use. The limit may be changed at any time.
type bulkhead struct {
	_     cacheLine
	word  atomic.Uint64 // low half: permits in use; high half: waiters
	_     cacheLine     // every call writes word; what follows is mostly read
	limit atomic.Int64
	// service estimates how long permits are held, by all operations together.
	service holdTime

	clock  *clock.Clock
	mu     sync.Mutex
	queues [classes]waiters // least important first
	queue  int              // how many may wait
	by     map[string]int   // how many of them wait by key; none is zero
	shares shares
	lifo   bool
}

const (
	oneWaiter = 1 << 32
	inUseMask = oneWaiter - 1
	classes   = int(CriticalPlus-Sheddable) + 1
)

// cacheLine separates what is written by every call from what is read by every call, so
// that cores do not contend for one line. 64 bytes is the line size of amd64 and of
// most arm64 processors.
type cacheLine [64]byte

// tryAcquire takes a permit if one is free, nobody waits for it, and the key's share has
// room.
func (b *bulkhead) tryAcquire(key string) bool {
	if !b.shares.take(key, b.limit.Load()) {
		return false
	}
	ok := b.take()
	if !ok {
		b.shares.put(key)
	}
	return ok
}

// take is tryAcquire for a call without a share.
func (b *bulkhead) take() bool {
	for {
		w := b.word.Load()
		if w >= uint64(b.limit.Load()) { // a waiter makes w larger than any limit
			return false
		}
		if b.word.CompareAndSwap(w, w+1) {
			return true
		}
	}
}

// isFull reports whether tryAcquire would fail.
func (b *bulkhead) isFull() bool { return b.word.Load() >= uint64(b.limit.Load()) }

// release gives a permit back at now. It was held for the given time, in ns.
func (b *bulkhead) release(held, now int64, key string) {
	b.shares.put(key)
	w := b.word.Add(^uint64(0))
	if w >= oneWaiter || held&0x70 == 0 || b.service.Load() == 0 {
		b.service.observe(held)
	}
	if w >= oneWaiter {
		b.mu.Lock()
		b.handOverLocked(now)
		b.mu.Unlock()
	}
}

// giveBack returns a permit that was never used.
func (b *bulkhead) giveBack(now int64, key string) {
	b.shares.put(key)
	if b.word.Add(^uint64(0)) >= oneWaiter {
		b.mu.Lock()
		b.handOverLocked(now)
		b.mu.Unlock()
	}
}

// queueRules are the rules for one wait.
type queueRules struct {
	class int
	// key is the key on whose account the call waits. share is the key in whose share
	// the permit will be counted; empty if in none.
	key, share string
	// now and until are offsets from the guard's base: the start of the wait, and the
	// time at which it ends without a permit.
	now, until int64
	// deadline is the deadline of the call.
	deadline int64
	// service is how long the call's operation holds a permit. 0: unknown.
	service int64
	// shared is the coalesced call that waits, whose class may rise meanwhile. It is
	// nil for any other call.
	shared *sharedCall
}

// wait queues for a permit until rules.until or until ctx is done. It returns nil
// with a permit, errQueueFull, errTooLate if the deadline can't be met, errWaited
// if until passed, errEvicted, or the context's error.
func (b *bulkhead) wait(ctx context.Context, rules queueRules) error {
	w, err := b.enqueue(rules)
	if w == nil {
		return err
	}
	if c := rules.shared; c != nil {
		c.queued.Store(w)
		defer c.queued.Store(nil)
		b.raise(w, int(Criticality(c.class.Load())-Sheddable)) // its class may have risen already
	}
	began := b.clock.Now()
	granted, err := clock.Recv(ctx, b.clock, w.answer, time.Duration(rules.until-rules.now))
	switch err {
	case nil:
		return grantOrEvict(granted)
	case clock.ErrExpired:
		err = errWaited
	}
	b.mu.Lock()
	if w.gone {
		b.mu.Unlock()
		if <-w.answer {
			b.giveBack(rules.now+int64(b.clock.Since(began)), rules.share)
		}
		return err
	}
	b.removeLocked(w)
	b.word.Add(^uint64(oneWaiter - 1)) // one waiter less
	b.mu.Unlock()
	return err
}

func grantOrEvict(granted bool) error {
	if granted {
		return nil
	}
	return errEvicted
}

// enqueue returns a waiter, or nil and the reason why there is none. Nil and nil mean
// that a permit became free in the meantime.
func (b *bulkhead) enqueue(rules queueRules) (*waiter, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	limit := max(1, b.limit.Load())
	if b.tooLateLocked(rules, limit) {
		// A permit may have become free just now nevertheless.
		if b.tryAcquire(rules.share) {
			return nil, nil
		}
		return nil, errTooLate
	}
	for {
		word := b.word.Load()
		inUse, waiting := word&inUseMask, int(word>>32)
		if waiting == 0 && int64(inUse) < limit && b.shares.take(rules.share, limit) {
			if b.word.CompareAndSwap(word, word+1) {
				return nil, nil
			}
			b.shares.put(rules.share)
			continue
		}
		if waiting >= b.queue {
			victim := b.victimLocked(rules)
			if victim == nil {
				return nil, errQueueFull
			}
			b.removeLocked(victim)
			clock.Send(b.clock, victim.answer, false)
			break // the newcomer takes over the victim's place in the word
		}
		if b.word.CompareAndSwap(word, word+oneWaiter) {
			break
		}
	}
	w := &waiter{class: rules.class, key: rules.key, share: rules.share, since: rules.now, answer: make(chan bool, 1)}
	b.queues[w.class].push(w)
	if b.by == nil {
		b.by = map[string]int{}
	}
	b.by[w.key]++
	if b.shares.on() { // earlier waiters may be waiting only for their share
		b.handOverLocked(rules.now)
	}
	return w, nil
}

// tooLateLocked reports whether the wait would last beyond its bound, or the call
// beyond its deadline, if calls take as long as they did so far. With LIFO a newcomer
// may be served before earlier waiters of its class, so only higher classes count as
// being ahead of it.
func (b *bulkhead) tooLateLocked(rules queueRules, limit int64) bool {
	service := b.service.Load()
	if service == 0 {
		return false
	}
	ahead := 0
	for class := rules.class; class < classes; class++ {
		if class > rules.class || !b.lifo {
			ahead += b.queues[class].len
		}
	}
	permit := rules.now + int64(float64(ahead+1)*float64(service)/float64(limit))
	if rules.service > 0 {
		service = rules.service
	}
	return permit >= rules.until || permit+service > rules.deadline
}

// leastLocked returns the newest waiter of the lowest class below the given one.
func (b *bulkhead) leastLocked(class int) *waiter {
	for c := range class {
		if last := b.queues[c].last; last != nil {
			return last
		}
	}
	return nil
}

// victimLocked returns the waiter that has to make room in a full queue. That is the
// newest waiter of a lower class. If there is none, it is the newest waiter of the same
// class among those of the key that takes up most places, provided that this key has at
// least two places more than the newcomer's. So one runaway operation or tenant can't
// keep the others out.
func (b *bulkhead) victimLocked(rules queueRules) *waiter {
	if w := b.leastLocked(rules.class); w != nil {
		return w
	}
	own := b.by[rules.key]
	if 2*(own+1) >= b.queue+1 { // nobody has that much more
		return nil
	}
	for w := b.queues[rules.class].last; w != nil; w = w.prev {
		if b.by[w.key] > own+1 && b.by[w.key] == slices.Max(slices.Collect(maps.Values(b.by))) {
			return w
		}
	}
	return nil
}

// handOverLocked gives free permits to waiters.
func (b *bulkhead) handOverLocked(now int64) {
	for {
		word := b.word.Load()
		if word < oneWaiter || int64(word&inUseMask) >= b.limit.Load() {
			return
		}
		w := b.nextLocked(now)
		if w == nil {
			return // all of them wait for their share
		}
		if !b.word.CompareAndSwap(word, word+1-oneWaiter) {
			b.shares.put(w.share)
			continue
		}
		b.removeLocked(w)
		clock.Send(b.clock, w.answer, true)
	}
}

// nextLocked returns the waiter that gets the next permit, and takes its share. It
// returns nil if every waiter's share is used up.
func (b *bulkhead) nextLocked(now int64) *waiter {
	limit := b.limit.Load()
	for class := classes - 1; class >= 0; class-- {
		q := &b.queues[class]
		newest := b.lifo && q.first != nil && b.overloadedLocked(q.first, now)
		w := q.first
		if newest {
			w = q.last
		}
		for w != nil && !b.shares.take(w.share, limit) {
			if newest {
				w = w.prev
			} else {
				w = w.next
			}
		}
		if w != nil {
			return w
		}
	}
	return nil
}

// overloadedLocked reports whether the oldest waiter has waited for more than half the
// time in which a full queue drains. By then the oldest call has little of its deadline
// left, and the newest has all of it.
func (b *bulkhead) overloadedLocked(oldest *waiter, now int64) bool {
	drain := float64(b.queue) * float64(b.service.Load()) / float64(max(1, b.limit.Load()))
	return float64(now-oldest.since) > drain/2
}

func (b *bulkhead) removeLocked(w *waiter) {
	b.queues[w.class].remove(w)
	w.gone = true
	if b.by[w.key]--; b.by[w.key] == 0 {
		delete(b.by, w.key)
	}
}

// raise moves a waiter to the end of a higher class, if it still waits.
func (b *bulkhead) raise(w *waiter, class int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if w.gone || class <= w.class {
		return
	}
	b.queues[w.class].remove(w)
	w.class = class
	b.queues[class].push(w)
}

// configure sets the queue and the shares. Calls that wait go on waiting.
func (b *bulkhead) configure(p BulkheadPolicy) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queue, b.lifo = p.Queue, p.LIFO
	b.shares.configure(p.MaxShare)
}

// setLimit changes the limit. Permits in use stay in use; permits that become available
// are given to waiters.
func (b *bulkhead) setLimit(limit int, now int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.limit.Store(int64(limit))
	b.handOverLocked(now)
}

// counts returns the numbers of permits in use and of waiters.
func (b *bulkhead) counts() (inUse, waiting int) {
	w := b.word.Load()
	return int(w & inUseMask), int(w >> 32)
}
