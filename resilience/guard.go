package resilience

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/backstay-go/backstay/resilience/internal/clock"
)

// DefaultOperation is the name of the operation that a guard itself stands for.
const DefaultOperation = "default"

// Caller is a *Guard (which stands for its default operation) or an *Operation: what Do
// runs calls on. No other type implements it. Both are safe for concurrent use.
type Caller interface{ operation() *Operation }

// Guard protects one dependency. It is safe for concurrent use. The caller that made it
// must close it. The zero value and nil refuse every call with ErrPolicy. If a call
// panics or ends by Goexit, the guard gets back what the call held, and the panic or
// Goexit goes on to the caller.
type Guard struct {
	gate
	classify Classifier
	names    errorNames
	own      *Operation // the default one
	shadow   atomic.Pointer[Shadow]
	// lostPanics counts panics that could reach no caller.
	lostPanics atomic.Int64

	mu         sync.Mutex
	policy     Policy      // as it was given
	forced     BreakerMode // the mode set by Force; BreakerAuto if none
	shared     *shared
	operations map[string]*Operation
}

// Operation is one kind of call on a guard. Get it once and keep it. It is safe for
// concurrent use and follows the guard's updates. The zero value and nil refuse every
// call with ErrPolicy.
type Operation struct {
	guard *Guard
	name  string
	// config is nil while the guard's policy has no such operation.
	config   atomic.Pointer[opConfig]
	inflight inflight
	latency  quantiles
	held     holdTime // how long its calls hold permits; measured only where calls may wait
}

// shared is the part of a policy in force that all operations have in common, with
// defaults filled in.
type shared struct {
	Policy
	limiter       *rate.Limiter // nil: no rate limit
	named         namedErrors
	amplification float64
	// cuts counts the attempts in a row that only their callers' deadlines ended. blind
	// is set once that was emitted.
	cuts  atomic.Int64
	blind atomic.Bool
}

// opConfig is the policy in force for one operation, with defaults filled in. A call
// keeps the one with which it began.
type opConfig struct {
	OperationPolicy
	name   string
	op     *Operation
	guard  *Guard
	shared *shared
	// bound is the longest that an attempt may take. plain is set if quick may admit.
	bound time.Duration
	plain bool
	// The refusals of this operation, made in advance.
	refuse refusals
	// open is the refusal of the newest open period.
	open atomic.Pointer[openRefusal]
	// limited is the refusal until the next token of the rate limit.
	limited atomic.Pointer[Refusal]
}

func (c *opConfig) dependency() string { return c.guard.name }
func (c *opConfig) listens() bool      { return len(c.guard.listeners.all) > 0 }

// Option sets what a Policy can't express. Pass it to New; nil does nothing.
type Option func(*options)

type options struct {
	listeners []Listener
	classify  Classifier
	clock     *clock.Clock
	budget    *Budget
	names     []namedError
}

// WithListener adds a listener. Several get each event in the order in which they were added.
func WithListener(l Listener) Option {
	return func(o *options) { o.listeners = append(o.listeners, l) }
}

// WithClassifier sets how the errors of attempts are judged. Default: DefaultClassifier.
func WithClassifier(c Classifier) Option { return func(o *options) { o.classify = c } }

// WithClock is only for package simulate, because no other package can make a virtual
// clock.
func WithClock(c *clock.Clock) Option { return func(o *options) { o.clock = c } }

// New checks the policy and returns its guard. The error matches ErrPolicy and names
// every problem. The caller must close the guard.
func New(p Policy, opts ...Option) (*Guard, error) {
	if err := p.valid(); err != nil {
		return nil, err
	}
	o := options{classify: DefaultClassifier}
	for _, opt := range opts {
		if opt != nil {
			opt(&o)
		}
	}
	if o.classify == nil {
		return nil, fmt.Errorf("%w %q: the classifier is nil; leave WithClassifier out for the default", ErrPolicy, p.Name)
	}
	if slices.Contains(o.listeners, nil) {
		return nil, fmt.Errorf("%w %q: a listener is nil", ErrPolicy, p.Name)
	}
	names, err := nameErrors(p.Name, o.names)
	if err != nil {
		return nil, err
	}
	g := &Guard{classify: o.classify, names: names, operations: map[string]*Operation{}}
	if g.shares = o.budget; g.shares != nil && g.shares.policy.Load() == nil {
		return nil, fmt.Errorf("%w %q: the shared budget is empty; make one with NewBudget", ErrPolicy, p.Name)
	}
	if err := g.fits(p); err != nil {
		return nil, err
	}
	g.open(p.Name, o.clock, o.listeners)
	g.own = &Operation{guard: g, name: DefaultOperation}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.applyLocked(p)
	return g, nil
}

// Operation returns the named operation. If the policy has no operation of that name,
// calls on it fail with ErrPolicy, and the error lists the existing names. That ends
// when an update adds the operation.
func (g *Guard) Operation(name string) *Operation {
	if g == nil || g.own == nil {
		return &Operation{name: name}
	}
	if name == DefaultOperation {
		return g.own
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if o := g.operations[name]; o != nil {
		return o
	}
	return &Operation{guard: g, name: name}
}

// Name returns the dependency's name.
func (g *Guard) Name() string {
	if g == nil {
		return ""
	}
	return g.name
}

// Policy returns a copy of the policy in force as it was given, without defaults.
// Policy.WithDefaults adds them.
func (g *Guard) Policy() Policy {
	if g == nil {
		return Policy{}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.policy.clone()
}

// closeWait is the longest time that Close waits.
const closeWait = time.Second

// Close refuses new calls with ErrClosed and ends the guard's goroutines (refreshes in
// the background, the delivery of events). It waits for them for at most one second: a
// refresh may ignore its context, and if Close is called from within a refresh or a
// listener, that goroutine waits for itself. Calls in flight continue. Closing twice
// does nothing. Close always returns nil; use Shutdown for another bound, and to learn
// what is left.
func (g *Guard) Close() error {
	if g == nil || g.own == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(g.ending), closeWait)
	defer cancel()
	_ = g.Shutdown(ctx) // what is left ends when its call does
	return nil
}

// Shutdown is Close with the caller's bound. It waits until the guard's goroutines have
// ended or ctx is done. In the latter case the error says how many goroutines are left.
func (g *Guard) Shutdown(ctx context.Context) error {
	if g == nil || g.own == nil {
		return nil
	}
	g.mu.Lock()
	g.closed.Store(true)
	shadow := g.shadow.Swap(nil)
	g.mu.Unlock()
	if shadow != nil {
		shadow.stop()
	}
	g.shut()
	return g.tasks.wait(ctx, g.name)
}

func (g *Guard) operation() *Operation {
	if g == nil {
		return nil
	}
	return g.own
}

func (o *Operation) operation() *Operation { return o }

// offset returns the time d as an offset from the guard's base. A deadline without a
// monotonic reading is compared with the wall clock. A time that is too far off for an
// offset becomes the largest offset.
func (g *Guard) offset(d time.Time, now int64) int64 {
	if g.clock == nil && d == d.Round(0) {
		return later(now, time.Until(d))
	}
	return int64(d.Sub(g.base))
}

// task runs f on a goroutine that the guard owns; f must end when its context does. It
// reports false, and does nothing, once the guard is closed. A panic in f is counted in
// lostPanics.
func (g *Guard) task(f func(ending context.Context)) bool {
	return g.tasks.start(func() {
		defer func() {
			if recover() != nil {
				g.lostPanics.Add(1)
			}
		}()
		f(g.ending)
	})
}

// applyLocked puts a valid policy in force.
func (g *Guard) applyLocked(p Policy) {
	g.policy = p.clone()
	full := g.policy.force(g.forced).inForce()
	s := g.apply(full, g.shared)
	s.named = g.names.of(full.Errors)
	g.shared = s
	g.own.put(s, full.Default)
	for name, o := range full.Operations {
		if g.operations[name] == nil {
			g.operations[name] = &Operation{guard: g, name: name}
		}
		g.operations[name].put(s, o)
	}
	for name, o := range g.operations {
		if _, ok := full.Operations[name]; !ok {
			o.config.Store(nil)
		}
	}
}

func (o *Operation) put(s *shared, p OperationPolicy) {
	c := &opConfig{OperationPolicy: p, name: o.name, op: o, guard: o.guard, shared: s}
	c.refuse = makeRefusals(o.guard, o.name)
	c.bound = p.attemptBound()
	c.plain = !c.listens() && p.Hedge == nil && !p.Detach && s.limiter == nil && s.Throttle == nil &&
		s.Bulkhead.MaxShare == 0 && (s.Breaker == nil || s.Breaker.Mode == BreakerAuto)
	o.config.Store(c)
}

// enter finds the policy in force for a call, or returns what is wrong with how the
// guard is used.
func enter(on Caller) (*opConfig, error) {
	if on == nil {
		return nil, errNilCaller
	}
	o := on.operation()
	if o == nil || o.guard == nil {
		return nil, errNilCaller
	}
	if c := o.config.Load(); c != nil {
		return c, nil
	}
	// The operation may have been requested before the policy that has it.
	if known := o.guard.Operation(o.name); known != o {
		if c := known.config.Load(); c != nil {
			return c, nil
		}
	}
	names := slices.Sorted(maps.Keys(o.guard.Policy().Operations))
	return nil, fmt.Errorf("%w %q: no operation %q; there are: %s", ErrPolicy, o.guard.name, o.name,
		strings.Join(append([]string{DefaultOperation}, names...), ", "))
}

// Kinds of misuse for which there is a prepared error.
var (
	errNilCaller = fmt.Errorf("%w: Do on a nil guard or operation; make one with New", ErrPolicy)
	errNilCall   = fmt.Errorf("%w: Do with a nil call", ErrPolicy)
	errNilCtx    = fmt.Errorf("%w: Do with a nil context", ErrPolicy)
	errLastGood  = fmt.Errorf("%w: a LastGood of a limit below 1; make one with NewLastGood", ErrPolicy)
)

// noStale is the error of a call with a LastGood that could never serve a value,
// because its operation has no StalePolicy.
func (c *opConfig) noStale() error {
	return fmt.Errorf("%w %q: a LastGood on operation %q, which has no stale policy, would remember nothing; set its stale.max_age, or leave For out", ErrPolicy, c.dependency(), c.name)
}

// DefaultClassifier uses the error's own Verdict if it has one (Judged). Every other
// error is a Failure that may be repeated if the call is idempotent. The guard judges
// the end of the caller itself, whatever the classifier: an attempt that its caller
// cancelled is Ignored, and so is a Failure of an attempt that the caller's own
// deadline cut before the policy's timeouts would have.
func DefaultClassifier(err error) Verdict {
	if err == nil {
		return Verdict{}
	}
	var judged Judged
	if errors.As(err, &judged) {
		return judged.Verdict()
	}
	return Verdict{Outcome: Failure}
}
