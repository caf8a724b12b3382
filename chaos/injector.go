package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// ErrOff is what New returns in a process that sets BACKSTAY_CHAOS=off.
var ErrOff = errors.New("chaos: refused, because BACKSTAY_CHAOS=off is set for this process")

// OffVariable is the environment variable that forbids faults in a process when
// it is "off" (or 0, no, false).
const OffVariable = "BACKSTAY_CHAOS"

// Refused returns ErrOff if the environment forbids faults. Commands and packages that
// inject faults without an Injector must call it first.
func Refused() error {
	switch strings.ToLower(strings.TrimSpace(os.Getenv(OffVariable))) {
	case "off", "0", "no", "false":
		return ErrOff
	}
	return nil
}

// Config is what an Injector needs besides its plan. The zero value is fine.
type Config struct {
	Listeners []Listener
	// DeadMan ends all faults when KeepAlive was not called for that long, so that they
	// do not outlive the person or test that asked for them. It must be at least 10 ms. With
	// 0, faults end only when their rules do.
	DeadMan time.Duration

	_ struct{}
}

// An Injector runs a plan. Make it with New; it does nothing before Start. It is
// safe for concurrent use, owns no goroutine and needs no closing; Stop ends its
// faults. A nil Injector is valid and never injects.
type Injector struct {
	config Config
	run    atomic.Pointer[run] // nil when off

	stats struct{ decisions, injected, panics atomic.Uint64 }

	mu struct {
		sync.Mutex
		plan    Plan
		rules   []*rule
		changed chan struct{} // closed at each change of plan or state
		changes []Change
	}
}

// Change is one rule that Update added to a running plan, or removed from it. A rule that was
// changed is removed and added.
type Change struct {
	// At is when it happened, from the start of the plan.
	At      time.Duration
	Rule    Rule
	Removed bool

	_ struct{}
}

// maxChanges bounds the changes that an injector remembers.
const maxChanges = 10_000

// run is the state between Start and Stop. A decision loads all of it with one atomic read.
type run struct {
	start    time.Time
	seed     uint64
	rules    []*rule
	lease    time.Duration
	alive    *atomic.Int64 // when KeepAlive was last called, from start
	arrivals *sync.Map     // by dependency and operation: *atomic.Uint64
	scoped   bool          // a rule asks for a scope
}

// rule is a compiled rule and its counters.
type rule struct {
	Rule
	name        string
	from, to    time.Duration
	probability float64
	places      []string // that it can act at
	scopes      bool
	counted     bool   // the rule looks at call numbers
	made        uint64 // hash of What, to see whether it was changed
	calls, done *atomic.Int64
}

// New makes an injector for a plan. It returns the plan's *PlanError if the plan is wrong,
// and ErrOff if the environment forbids faults.
func New(plan Plan, config Config) (*Injector, error) {
	if err := Refused(); err != nil {
		return nil, err
	}
	if d := config.DeadMan; d != 0 && d < 10*time.Millisecond {
		return nil, fmt.Errorf("chaos: Config.DeadMan is %v; at least 10ms, or 0 for none", d)
	}
	config.Listeners = slices.Clone(config.Listeners)
	i := &Injector{config: config}
	i.mu.changed = make(chan struct{})
	if err := i.Update(plan); err != nil {
		return nil, err
	}
	return i, nil
}

// Start begins the plan: its times count from now, its call numbers from 1. It
// does nothing if the plan runs already.
func (i *Injector) Start() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.run.Load() != nil {
		return
	}
	for n, old := range i.mu.rules { // copies: an old run may still be deciding
		r := *old
		r.calls, r.done = new(atomic.Int64), new(atomic.Int64)
		i.mu.rules[n] = &r
	}
	i.mu.changes = nil
	i.run.Store(i.newRunLocked(time.Now(), new(sync.Map), new(atomic.Int64)))
	i.changedLocked()
}

// Stop ends all faults, including those that hold a call at this moment. Start begins the
// plan again.
func (i *Injector) Stop() {
	if i == nil {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.run.Swap(nil) != nil {
		i.changedLocked()
	}
}

// Update replaces the plan, or returns its *PlanError and keeps the old one. A
// running plan runs on: its time goes on, and rules that keep their name keep
// their counts.
func (i *Injector) Update(plan Plan) error {
	if err := plan.Check(); err != nil {
		return err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	rules := make([]*rule, len(plan.Rules))
	for n, r := range plan.Rules {
		c := &rule{Rule: r, name: plan.RuleName(n), probability: 1, places: r.Places(), scopes: r.Whom.Scope != ""}
		c.calls, c.done = new(atomic.Int64), new(atomic.Int64)
		c.from, c.to = plan.Window(n)
		if r.Often.Probability != nil {
			c.probability = *r.Often.Probability
		}
		c.counted = r.When.counts()
		c.made = hashText(fnvOffset, fmt.Sprint(r.What))
		for _, old := range i.mu.rules {
			if old.name == c.name {
				c.calls, c.done = old.calls, old.done
			}
		}
		rules[n] = c
	}
	plan.Rules = slices.Clone(plan.Rules)
	before := i.mu.plan
	i.mu.plan, i.mu.rules = plan, rules
	if old := i.run.Load(); old != nil {
		i.recordLocked(old.elapsed(), before, plan)
		i.run.Store(i.newRunLocked(old.start, old.arrivals, old.alive))
	}
	i.changedLocked()
	return nil
}

// recordLocked remembers what an update changed.
func (i *Injector) recordLocked(at time.Duration, before, after Plan) {
	lacks := func(p Plan, r Rule) bool {
		return !slices.ContainsFunc(p.Rules, func(other Rule) bool { return reflect.DeepEqual(r, other) })
	}
	for _, r := range before.Rules {
		if lacks(after, r) {
			i.mu.changes = append(i.mu.changes, Change{At: at, Rule: r, Removed: true})
		}
	}
	for _, r := range after.Rules {
		if lacks(before, r) {
			i.mu.changes = append(i.mu.changes, Change{At: at, Rule: r})
		}
	}
	if extra := len(i.mu.changes) - maxChanges; extra > 0 {
		i.mu.changes = slices.Delete(i.mu.changes, 0, extra)
	}
}

// Changes returns what updates changed while the plan ran, the oldest first: the faults that
// somebody added or ended by hand. It remembers the last 10,000. Start forgets them.
func (i *Injector) Changes() []Change {
	if i == nil {
		return nil
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.mu.changes)
}

func (i *Injector) newRunLocked(start time.Time, arrivals *sync.Map, alive *atomic.Int64) *run {
	return &run{
		start: start, seed: i.mu.plan.Seed, rules: slices.Clone(i.mu.rules), lease: i.config.DeadMan,
		arrivals: arrivals, alive: alive,
		scoped: slices.ContainsFunc(i.mu.rules, func(r *rule) bool { return r.scopes }),
	}
}

func (i *Injector) changedLocked() {
	close(i.mu.changed)
	i.mu.changed = make(chan struct{})
}

// KeepAlive signals that the person or test that asked for the faults is still there. It
// matters only with Config.DeadMan. Once that time has passed without a call of KeepAlive,
// the faults come back only after Stop and Start.
func (i *Injector) KeepAlive() {
	if i == nil {
		return
	}
	if r := i.run.Load(); r != nil && !r.lapsed() {
		r.alive.Store(int64(r.elapsed()))
	}
}

// Plan returns the plan that the injector was made with or last updated to.
func (i *Injector) Plan() Plan {
	if i == nil {
		return Plan{}
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	p := i.mu.plan
	p.Rules = slices.Clone(p.Rules)
	return p
}

// Running reports whether the plan was started, is not over, and was not ended by
// Config.DeadMan. A nil Injector never runs.
func (i *Injector) Running() bool {
	if i == nil {
		return false
	}
	r := i.run.Load()
	if r == nil || r.lapsed() {
		return false
	}
	now := r.elapsed()
	return slices.ContainsFunc(r.rules, func(r *rule) bool { return now < r.to })
}

// Elapsed returns the time since Start, or 0 while the injector is off.
func (i *Injector) Elapsed() time.Duration {
	if i == nil {
		return 0
	}
	if r := i.run.Load(); r != nil {
		return r.elapsed()
	}
	return 0
}

// Stats are the counts of what an injector did.
type Stats struct {
	Decisions      uint64            // calls that were asked about while the plan ran
	Injected       uint64            // faults that were applied
	ListenerPanics uint64            // panics of listeners, which were kept from calls
	ByRule         map[string]uint64 // faults chosen, by rule, since Start

	_ struct{}
}

// Stats returns a copy of the counts.
func (i *Injector) Stats() Stats {
	s := Stats{ByRule: make(map[string]uint64)}
	if i == nil {
		return s
	}
	s.Decisions, s.Injected, s.ListenerPanics = i.stats.decisions.Load(), i.stats.injected.Load(), i.stats.panics.Load()
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, r := range i.mu.rules {
		s.ByRule[r.name] = uint64(r.done.Load())
	}
	return s
}

// Report tells the listeners of a fault that is applied to the call. The code that applies
// a fault calls it. It does not call it for faults that gave way to another fault.
func (i *Injector) Report(ctx context.Context, c Call, f Fault) {
	if i == nil {
		return
	}
	i.stats.injected.Add(1)
	if len(i.config.Listeners) == 0 {
		return
	}
	e := Event{Time: time.Now(), Elapsed: i.Elapsed(), Rule: f.Rule, Kind: f.What.Kind, Delay: f.Delay, Call: c}
	for _, l := range i.config.Listeners {
		i.notify(ctx, l, e)
	}
}

func (i *Injector) notify(ctx context.Context, l Listener, e Event) {
	defer func() {
		if recover() != nil {
			i.stats.panics.Add(1)
		}
	}()
	l.Handle(ctx, e)
}

func (r *run) elapsed() time.Duration { return time.Since(r.start) }

func (r *run) leaseLeft() time.Duration {
	return time.Duration(r.alive.Load()) + r.lease - r.elapsed()
}

func (r *run) lapsed() bool { return r.lease > 0 && r.leaseLeft() <= 0 }

// acts reports whether the rule can act on calls at a place; an empty place stands for any
// place. A rule for a clock acts on no call.
func (r *rule) acts(place string) bool {
	return r.What.Kind != ClockSkew && (place == "" || slices.Contains(r.places, place))
}

// find returns the rule of that name, or nil.
func (r *run) find(name string) *rule {
	if n := slices.IndexFunc(r.rules, func(r *rule) bool { return r.name == name }); n >= 0 {
		return r.rules[n]
	}
	return nil
}
