package resilience

import (
	"fmt"
	"sync"
	"time"

	"github.com/backstay-go/backstay/internal/lru"
)

// Keyed holds guards that are made on demand, one per key, for example per shard,
// tenant or host of one dependency. Their number is bounded. It is safe for concurrent
// use. The caller that made it must close it. Its zero value refuses every key with
// ErrPolicy.
//
// All guards have the name of the policy, so that the number of spans and metrics stays
// small; Each distinguishes them. When room is needed, the least recently used guard
// that has nothing in flight and whose breaker is closed is dropped. What it has
// learned is lost. Code that still holds a dropped guard may continue to use it.
type Keyed struct {
	limit int
	opts  []Option

	mu     sync.Mutex
	policy Policy
	guards *lru.Cache[string, *Guard]
	closed bool
}

// NewKeyed returns a set that makes guards from the policy and the options, for at most
// limit keys at a time. The policy is checked at once; the error matches ErrPolicy.
func NewKeyed(p Policy, limit int, opts ...Option) (*Keyed, error) {
	if limit < 1 {
		return nil, fmt.Errorf("%w %q: at most %d keys; use at least 1", ErrPolicy, p.Name, limit)
	}
	probe, err := New(p, opts...)
	if err != nil {
		return nil, err
	}
	_ = probe.Close() // the error is always nil
	return &Keyed{limit: limit, opts: opts, policy: p.clone(), guards: lru.New[string, *Guard](lru.Bounds{}, nil)}, nil
}

// Guard returns the guard of a key, and makes it if there is none. The error matches
// ErrFull if the limit of keys is reached and each of their guards has calls in flight
// or an open breaker. It matches ErrClosed after Close.
func (k *Keyed) Guard(key string) (*Guard, error) {
	if k == nil || k.guards == nil {
		return nil, errNilCaller
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return nil, fmt.Errorf("%w: the guards of %q", ErrClosed, k.policy.Name)
	}
	if g, ok := k.guards.Get(key); ok {
		return g, nil
	}
	if k.guards.Len() >= k.limit && !k.makeRoomLocked() {
		return nil, fmt.Errorf("%w: %q has guards for %d keys, all of them in use or open; back off, or allow more", ErrFull, k.policy.Name, k.limit)
	}
	g, err := New(k.policy, k.opts...)
	if err != nil {
		return nil, err
	}
	k.guards.Put(key, g, 0, time.Time{}, time.Time{}) // its entries do not expire
	return g, nil
}

// makeRoomLocked drops the least recently used guard among those that can be dropped.
func (k *Keyed) makeRoomLocked() bool {
	oldest, found := "", false
	for key, g := range k.guards.All() { // the most recently used first
		if s := g.Snapshot(); s.InFlight == 0 && s.Waiting == 0 && s.Breaker == BreakerClosed && s.Forced == BreakerAuto {
			oldest, found = key, true
		}
	}
	if found {
		k.guards.Delete(oldest)
	}
	return found
}

// Update puts another policy in force for all keys. Guards that are made later start
// with it. If New would refuse the policy, Update returns the error and changes
// nothing.
func (k *Keyed) Update(p Policy) error {
	if k == nil || k.guards == nil {
		return errNilCaller
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return fmt.Errorf("%w: the guards of %q", ErrClosed, k.policy.Name)
	}
	if p.Name != k.policy.Name {
		return fmt.Errorf("%w %q: an update has the name %q; make another set for another dependency", ErrPolicy, k.policy.Name, p.Name)
	}
	probe, err := New(p, k.opts...)
	if err != nil {
		return err
	}
	_ = probe.Close() // the error is always nil
	for _, g := range k.guards.All() {
		if err := g.Update(p); err != nil {
			return err
		}
	}
	k.policy = p.clone()
	return nil
}

// Each calls f for each key that has a guard, starting with the most recently used. f
// must not use the set.
func (k *Keyed) Each(f func(key string, g *Guard)) {
	if k == nil || k.guards == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for key, g := range k.guards.All() {
		f(key, g)
	}
}

// Close closes all guards, as Guard.Close does. Closing twice does nothing.
func (k *Keyed) Close() error {
	if k == nil || k.guards == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
	for _, g := range k.guards.All() {
		_ = g.Close() // the error is always nil
	}
	return nil
}
