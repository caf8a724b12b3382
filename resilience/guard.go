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

// Caller is what Do runs on: a *Guard (its default operation) or an *Operation.
// There is no other, and both are safe for concurrent use.
type Caller interface{ operation() *Operation }

// Guard stands before one dependency. It is safe for concurrent use. The caller that
// made it must close it. The zero value and nil refuse every call with ErrPolicy. A panic or
// Goexit in a call gives back what the call held and goes on to the caller.
type Guard struct {
	gate
	classify Classifier
	names    errorNames
	own      *Operation // the default one
	shadow   atomic.Pointer[Shadow]
	// lostPanics counts panics that no caller was left to get.
	lostPanics atomic.Int64

	mu         sync.Mutex
	policy     Policy      // as it was given
	forced     BreakerMode // by Force; BreakerAuto: not
	shared     *shared
	operations map[string]*Operation
}

// Operation is one kind of call on a guard: make it once and keep it. It is safe
// for concurrent use and follows the guard's updates. The zero value and nil
// refuse every call with ErrPolicy.
type Operation struct {
	guard *Guard
	name  string
	// config is nil while the guard's policy has no such operation.
	config   atomic.Pointer[opConfig]
	inflight inflight
	latency  quantiles
	held     holdTime // by its calls; measured only where calls may wait
}

// shared is the part of a policy in force that all operations share, defaults
// filled in.
type shared struct {
	Policy
	limiter       *rate.Limiter // nil: no rate limit
	named         namedErrors
	amplification float64
	// cuts counts attempts in a row that only their callers' deadlines ended; blind:
	// that was emitted.
	cuts  atomic.Int64
	blind atomic.Bool
}

// opConfig is the policy in force for one operation, defaults filled in. A call
// keeps to the one that it began with.
type opConfig struct {
	OperationPolicy
	name   string
	op     *Operation
	guard  *Guard
	shared *shared
	// The refusals of this operation, made beforehand.
	refuse refusals
	// open is the refusal of the newest open period.
	open atomic.Pointer[openRefusal]
	// limited is the refusal until the next token of the rate limit.
	limited atomic.Pointer[Refusal]
}

func (c *opConfig) dependency() string { return c.guard.name }
func (c *opConfig) listens() bool      { return len(c.guard.listeners.all) > 0 }

// Option sets what a Policy can't say. It is for New, and nil does nothing.
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

// WithClock is for package simulate alone: nobody else can make a virtual clock.
func WithClock(c *clock.Clock) Option { return func(o *options) { o.clock = c } }

// New checks the policy and returns its guard. The error matches ErrPolicy and
// names every problem.
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

// Operation returns the named operation. If the policy has none of that name,
// calls on it fail with ErrPolicy and the names there are, until an update brings
// it.
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

// Policy returns the policy in force as it was given, a copy. Policy.WithDefaults
// fills in the rest.
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

// Close refuses new calls with ErrClosed, ends the guard's goroutines (refreshes in the
// background, the delivery of events) and waits for them, but not longer than a
// second: a refresh may ignore its context, and Close may be called from within a
// refresh or a listener, which then waits for itself. Calls in flight go on. Closing
// twice does nothing. It returns nil; Shutdown has another bound, and says what is left.
func (g *Guard) Close() error {
	if g == nil || g.own == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(g.ending), closeWait)
	defer cancel()
	_ = g.Shutdown(ctx) // what is left ends when its call does
	return nil
}

// Shutdown is Close with the caller's bound: it waits until the guard's goroutines have
// ended or ctx has, and the error then says how many are left.
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

// offset is the time d as an offset from the guard's base. A deadline that has no
// monotonic reading is held against the wall clock. What is further off than an offset
// can say is as far off as it can.
func (g *Guard) offset(d time.Time, now int64) int64 {
	if g.clock == nil && d == d.Round(0) {
		return later(now, time.Until(d))
	}
	return int64(d.Sub(g.base))
}

// task runs f on a goroutine that the guard owns; f ends when its context does.
// It reports false, and does nothing, once the guard is closed. A panic in f is
// counted as lost.
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
	o.config.Store(c)
}

// enter finds the policy in force for a call, or says what is wrong with the way
// the guard is used.
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
	// Known by now? An operation that was asked for before its policy came.
	if known := o.guard.Operation(o.name); known != o {
		if c := known.config.Load(); c != nil {
			return c, nil
		}
	}
	names := slices.Sorted(maps.Keys(o.guard.Policy().Operations))
	return nil, fmt.Errorf("%w %q: no operation %q; there are: %s", ErrPolicy, o.guard.name, o.name,
		strings.Join(append([]string{DefaultOperation}, names...), ", "))
}

// Misuse that has an error of its own.
var (
	errNilCaller = fmt.Errorf("%w: Do on a nil guard or operation; make one with New", ErrPolicy)
	errNilCall   = fmt.Errorf("%w: Do with a nil call", ErrPolicy)
	errNilCtx    = fmt.Errorf("%w: Do with a nil context", ErrPolicy)
	errLastGood  = fmt.Errorf("%w: a LastGood of a limit below 1; make one with NewLastGood", ErrPolicy)
)

// noStale is the error of a call with a LastGood that could never serve a value.
func (c *opConfig) noStale() error {
	return fmt.Errorf("%w %q: a LastGood on operation %q, which has no stale policy, would remember nothing; set its stale.max_age, or leave For out", ErrPolicy, c.dependency(), c.name)
}

// DefaultClassifier judges by the error's own Verdict if it has one (Judged);
// everything else is a Failure that may be repeated if the call is idempotent. It is
// not asked about the end of the caller: whatever the classifier, the guard takes an
// attempt for Ignored if its caller cancelled it, and a Failure for Ignored if it was
// the caller's own deadline that cut the attempt, before the policy's timeouts would
// have.
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
