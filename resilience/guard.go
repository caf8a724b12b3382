package resilience

import (
	"context"
	"errors"
	"time"
)

// DefaultOperation is the name of the operation that a guard itself stands for.
const DefaultOperation = "default"

// Caller is what Do runs on: a *Guard (its default operation) or an *Operation.
type Caller interface{ operation() *Operation }

// Guard stands before one dependency. It is safe for concurrent use. Who made it
// closes it. The zero value and nil refuse every call with ErrPolicy. A panic or
// Goexit in a call gives back what the call held and goes on to the caller.
type Guard struct {
	policy     Policy
	options    options
	operations map[string]*Operation
}

// Operation is one kind of call on a guard: make it once and keep it. It is safe
// for concurrent use and follows the guard's updates.
type Operation struct {
	guard *Guard
	name  string
}

// Option sets what a Policy can't say.
type Option func(*options)

type options struct {
	listeners []Listener
	classify  Classifier
}

// WithListener adds a listener. Several are told in the order they were added.
func WithListener(l Listener) Option {
	return func(o *options) { o.listeners = append(o.listeners, l) }
}

// WithClassifier sets how the errors of attempts are judged. Default: DefaultClassifier.
func WithClassifier(c Classifier) Option { return func(o *options) { o.classify = c } }

// New checks the policy and returns its guard. The error matches ErrPolicy and
// names every problem.
func New(p Policy, opts ...Option) (*Guard, error) {
	g := &Guard{policy: p}
	for _, o := range opts {
		o(&g.options)
	}
	return g, nil
}

// Operation returns the named operation. If the policy has none of that name,
// calls on it fail with ErrPolicy and the names there are.
func (g *Guard) Operation(name string) *Operation { return &Operation{guard: g, name: name} }

// Name returns the dependency's name.
func (g *Guard) Name() string { return g.policy.Name }

// Update swaps the policy and keeps the state: an open breaker stays open, permits
// in flight stay counted, windows keep their counts. A policy that New would
// refuse, or that has another name, is refused and changes nothing.
func (g *Guard) Update(p Policy) error { g.policy = p; return nil }

// Policy returns the policy in force, a copy.
func (g *Guard) Policy() Policy { return g.policy }

// Close refuses new calls with ErrClosed, ends the guard's goroutines and waits
// for them. Calls in flight go on.
func (g *Guard) Close() error { return nil }

func (g *Guard) operation() *Operation     { return g.Operation(DefaultOperation) }
func (o *Operation) operation() *Operation { return o }

// DefaultClassifier judges by the error's own Verdict if it has one (Judged); the
// caller's cancellation is Ignored; a deadline and everything else is a Failure
// that may be repeated if the call is idempotent.
func DefaultClassifier(err error) Verdict {
	var judged Judged
	switch {
	case err == nil:
		return Verdict{}
	case errors.As(err, &judged):
		return judged.Verdict()
	case errors.Is(err, context.Canceled):
		return Verdict{Outcome: Ignored, Repeat: RepeatNever}
	}
	return Verdict{Outcome: Failure}
}

// CallOption says what a single call brings along: fallbacks, keys, disposal.
type CallOption[T any] struct {
	fallback func(ctx context.Context, cause error) (T, error)
	last     *LastGood[T]
	key      string
	coalesce bool
	dispose  func(T)
}

// Fallback stands in when the call fails, in the order given to Do, with source
// Static. It gets the failed call's error, and a context without the call's
// deadline; it may refuse by returning an error. With several, the first that does
// not refuse is served.
func Fallback[T any](f func(ctx context.Context, cause error) (T, error)) CallOption[T] {
	return CallOption[T]{fallback: f}
}

// FallbackValue stands in with a fixed value, source Static.
func FallbackValue[T any](v T) CallOption[T] {
	return Fallback(func(context.Context, error) (T, error) { return v, nil })
}

// Coalesce shares one call among all that run at the same time on the same
// operation with the same key. One caller's cancellation does not fail the others.
func Coalesce[T any](key string) CallOption[T] { return CallOption[T]{key: key, coalesce: true} }

// Dispose is given values that nobody will see: a hedge's loser, a result that
// came after the caller had gone.
func Dispose[T any](f func(T)) CallOption[T] { return CallOption[T]{dispose: f} }

// LastGood remembers the last good value a key, and serves it, by the operation's
// StalePolicy, when the call fails or while it is fresh. Safe for concurrent use.
// It holds at most the number of values it was made for, and drops the least
// recently used.
type LastGood[T any] struct{ limit int }

// NewLastGood returns a memory of at most limit values. A limit below 1 is
// refused by the first Do that uses it, with ErrPolicy.
func NewLastGood[T any](limit int) *LastGood[T] { return &LastGood[T]{limit: limit} }

// For ties one call to the value remembered under key.
func (l *LastGood[T]) For(key string) CallOption[T] { return CallOption[T]{last: l, key: key} }

// Do runs the call under the guard's policies, in their fixed order. The error is
// nil if there is a value, live or not; Result says which. Call runs on the
// caller's goroutine, unless it is hedged, coalesced or detached.
func Do[T any](ctx context.Context, on Caller, call func(context.Context) (T, error), opts ...CallOption[T]) (Result[T], error) {
	o := on.operation()
	ctx, cancel := context.WithTimeout(ctx, o.guard.policy.Default.Timeout)
	defer cancel()
	v, err := call(ctx)
	return Result[T]{Value: v, Attempts: 1}, err
}

// Hold keeps the running attempt's permit, probe and context past the return of
// the call, for work that goes on after it (a response's body). The returned
// function ends it; it is safe to call more than once and from any goroutine.
// Outside a guarded call it does nothing.
func Hold(ctx context.Context) (release func()) { return func() {} }

// AttemptInfo describes the running attempt.
type AttemptInfo struct {
	Dependency, Operation string
	// Number counts from 1, hedges included.
	Number int
	// Hedged says that the attempt is a hedge.
	Hedged bool
	// Criticality is the call's class.
	Criticality Criticality
}

// AttemptFrom tells about the attempt whose context this is; false outside one.
func AttemptFrom(ctx context.Context) (AttemptInfo, bool) { return AttemptInfo{}, false }

// WithCriticality gives calls under the context a class, as it came with a
// request. The lower of it and the operation's own counts.
func WithCriticality(ctx context.Context, c Criticality) context.Context { return ctx }

// WithRetried marks the context as belonging to a request that is itself a retry
// or hedge: calls under it get no retries and no hedges. Do marks the contexts of
// its own second and later attempts.
func WithRetried(ctx context.Context) context.Context { return ctx }

// Snapshot is a guard's state at one moment, for dashboards and health checks.
type Snapshot struct {
	Dependency string       `json:"dependency"`
	Breaker    BreakerState `json:"breaker"`
	// OpenUntil is when an open breaker will admit a probe.
	OpenUntil time.Time `json:"open_until,omitzero"`
	// Window counts of the breaker.
	Calls    int `json:"calls"`
	Failures int `json:"failures"`
	Slow     int `json:"slow"`
	// InFlight permits, Waiting calls, Limit in force.
	InFlight int `json:"in_flight"`
	Waiting  int `json:"waiting"`
	Limit    int `json:"limit"`
	// Budget tokens left.
	Budget float64 `json:"budget"`
	// ListenerPanics counts recovered panics of listeners.
	ListenerPanics int64 `json:"listener_panics"`
}

// Snapshot returns the guard's state.
func (g *Guard) Snapshot() Snapshot { return Snapshot{Dependency: g.policy.Name} }
