package simulate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/backstay-go/backstay/resilience"
	"github.com/backstay-go/backstay/resilience/internal/clock"
	"github.com/backstay-go/backstay/resilience/record"
)

// ErrReplay is the kind of error for a record that can't be replayed under the policies.
var ErrReplay = errors.New("simulate: can't replay")

// Options says how a record is replayed.
type Options struct {
	// Seed decides the guards' jitter and which recorded attempts are drawn.
	Seed uint64
	// Workers is how many attempts a dependency works on at once. Further attempts wait and
	// are served in the order of arrival. Zero: the load does not slow the dependency.
	// Negative: an error.
	Workers int
	// Load is the number of replayed calls per recorded call, on average: 1.5 adds one call to
	// every second one, 0.5 leaves every second one out. Zero: 1. Negative, or above 100: an
	// error.
	Load float64
	// Within is the time in which a live answer counts as in time. Zero: the operation's
	// timeout in the new policy. Negative: an error.
	Within time.Duration
	// Unknown is the share of calls, 0 to 1, for which no value is remembered.
	Unknown float64
	_       struct{}
}

func (o Options) check() error {
	switch {
	case o.Workers < 0 || o.Workers > maxWorkers:
		return fmt.Errorf("%w: workers is %d; use 0 (any load) to %d", ErrReplay, o.Workers, maxWorkers)
	case !(o.Load >= 0 && o.Load <= maxLoad):
		return fmt.Errorf("%w: load is %v; use a factor above 0, up to %d, or 0 for as much as was", ErrReplay, o.Load, maxLoad)
	case o.Within < 0:
		return fmt.Errorf("%w: within is %v; use 0 (the operation's timeout) or more", ErrReplay, o.Within)
	case !(o.Unknown >= 0 && o.Unknown <= 1):
		return fmt.Errorf("%w: unknown is %v; use a share from 0 to 1", ErrReplay, o.Unknown)
	}
	return nil
}

// Replay runs the record's calls through guards of the policies, which are given by
// dependency. Calls to dependencies without a policy are left out and counted. The errors
// match ErrReplay or resilience.ErrPolicy, or are those of the context.
func Replay(ctx context.Context, rec record.Record, policies map[string]resilience.Policy, o Options) (*Report, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.Load == 0 {
		o.Load = 1
	}
	calls := map[string][]record.Call{}
	report := &Report{Began: rec.Began, Dropped: rec.Dropped, Seed: o.Seed, Workers: o.Workers, Load: o.Load, Skipped: map[string]int{}}
	for i, c := range rec.Calls {
		if !plausible(c) {
			return nil, fmt.Errorf("%w: call %d, which starts at %v and takes %v, is not plausible: the longest time is %v", ErrReplay, i+1, c.Start, c.Took, longest)
		}
		if _, ok := policies[c.Dependency]; !ok {
			report.Skipped[c.Dependency]++
			continue
		}
		calls[c.Dependency] = append(calls[c.Dependency], c)
	}
	if len(calls) == 0 {
		return nil, fmt.Errorf("%w: the record has no call to a dependency of the policies; it has %s, they have %s", ErrReplay,
			list(slices.Sorted(maps.Keys(report.Skipped))), list(slices.Sorted(maps.Keys(policies))))
	}
	var players []*player
	for _, name := range slices.Sorted(maps.Keys(calls)) {
		p, err := replay(ctx, rec.Began, calls[name], policies[name], o)
		if err != nil {
			return nil, err
		}
		players = append(players, p)
		report.Length = max(report.Length, end(p.calls), end(p.replayed))
	}
	report.Width = widthFor(report.Length)
	for _, p := range players {
		report.Dependencies = append(report.Dependencies, p.compare(report))
	}
	return report, nil
}

// longest is how long a record, and a call, may be: sums must not overflow.
const longest = 10 * 365 * 24 * time.Hour

func plausible(c record.Call) bool {
	ok := func(d time.Duration) bool { return d >= 0 && d <= longest }
	return ok(c.Start) && ok(c.Took) && !slices.ContainsFunc(c.Attempts, func(a record.Attempt) bool { return !ok(a.Start) || !ok(a.Took) })
}

// end is when the last call, or attempt, is over.
func end(calls []record.Call) (last time.Duration) {
	for _, c := range calls {
		last = max(last, c.Start+c.Took)
		for _, a := range c.Attempts {
			last = max(last, c.Start+a.Start+a.Took)
		}
	}
	return last
}

func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// player is the replay of one dependency's calls.
type player struct {
	clock   *clock.Clock
	began   time.Time
	options Options
	policy  resilience.Policy
	guard   *resilience.Guard
	model   *model
	calls   []record.Call
	offers  []offer
	static  map[string]bool // operations that have a static fallback
	last    *resilience.LastGood[struct{}]
	states  *states
	// ended is the call that has just ended; replayed holds all.
	ended    record.Call
	replayed []record.Call
}

// replay runs the calls of one dependency.
func replay(ctx context.Context, began time.Time, calls []record.Call, policy resilience.Policy, o Options) (*player, error) {
	p := &player{
		clock: clock.New(began, o.Seed), began: began, options: o, policy: policy, calls: calls,
		model: newModel(calls, o), static: map[string]bool{}, offers: offered(calls, o),
	}
	p.replayed = make([]record.Call, len(p.offers))
	names := map[string]bool{}
	for _, c := range calls {
		names[c.Operation] = true
		if c.Answered && c.Source == resilience.Static {
			p.static[c.Operation] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if _, ok := policy.Operations[name]; !ok && name != resilience.DefaultOperation {
			return nil, fmt.Errorf("%w: the record has calls of operation %q on %q, and the policy has no such operation; it has %s", ErrReplay, name, policy.Name,
				list(append([]string{resilience.DefaultOperation}, slices.Sorted(maps.Keys(policy.Operations))...)))
		}
	}
	if p.model.empty() {
		return nil, fmt.Errorf("%w: the record has no attempt on %q, so that nothing says how it would have answered", ErrReplay, policy.Name)
	}
	p.last = resilience.NewLastGood[struct{}](len(names))
	p.states = &states{now: p.now}
	var err error
	p.guard, err = resilience.New(withoutCache(policy), resilience.WithClock(p.clock),
		resilience.WithListener(record.Listen(began, p.now, func(c record.Call) { p.ended = inMicros(c) })), resilience.WithListener(p.states))
	if err != nil {
		return nil, err
	}
	ctx, cause := context.WithoutCancel(ctx), ctx
	p.arrive(ctx, cause, 0)
	p.clock.Run()
	if err := errors.Join(cause.Err(), p.guard.Close()); err != nil {
		return nil, err
	}
	return p, nil
}

// compare is what the replay of a dependency found.
func (p *player) compare(r *Report) Dependency {
	return Dependency{
		Name: p.policy.Name, Drawn: p.model.drawn, Notes: p.notes(),
		Recorded: r.summarise(p.calls, p.within), Replayed: r.summarise(p.replayed, p.within),
		Operations: byOperation(p.calls, p.replayed), Changes: p.changes(),
		Breaker: p.states.spans(r.Length), Limits: p.states.limits,
	}
}

// withoutCache takes out what a replay decides by the record instead: which values
// are fresh depends on keys, and which errors are those that the policy names on the
// errors themselves; a record has neither.
func withoutCache(p resilience.Policy) resilience.Policy {
	plain := func(o resilience.OperationPolicy) resilience.OperationPolicy {
		if o.Stale != nil {
			s := *o.Stale
			s.FreshFor, s.RefreshAhead = 0, 0
			o.Stale = &s
		}
		return o
	}
	p.Errors = nil
	p.Default = plain(p.Default)
	p.Operations = maps.Clone(p.Operations)
	for name, o := range p.Operations {
		p.Operations[name] = plain(o)
	}
	return p
}

// inMicros cuts the times of a call as a record does, so that the sides compare.
func inMicros(c record.Call) record.Call {
	c.Start, c.Took = c.Start.Truncate(time.Microsecond), c.Took.Truncate(time.Microsecond)
	for i := range c.Attempts {
		a := &c.Attempts[i]
		a.Start, a.Took = a.Start.Truncate(time.Microsecond), a.Took.Truncate(time.Microsecond)
	}
	return c
}

// now is the time since the record began.
func (p *player) now() time.Duration { return p.clock.Since(p.began) }

func (p *player) operation(name string) resilience.OperationPolicy {
	if name == resilience.DefaultOperation {
		return p.policy.Default
	}
	return p.policy.Operations[name]
}

// within is the time in which an answer counts as one in time.
func (p *player) within(operation string) time.Duration {
	if p.options.Within > 0 {
		return p.options.Within
	}
	return p.operation(operation).Timeout
}

// arrive has the ith call, and those after it, made when they were.
func (p *player) arrive(ctx, cause context.Context, i int) {
	if i == len(p.offers) || cause.Err() != nil {
		return
	}
	p.clock.AfterFunc(p.offers[i].Start-p.now(), func() {
		p.clock.Go(func() { p.replayed[i] = p.make(ctx, i) })
		p.arrive(ctx, cause, i+1)
	})
}

// make makes the ith call and returns what came of it.
func (p *player) make(ctx context.Context, i int) record.Call {
	c := p.offers[i].Call
	policy := p.operation(c.Operation)
	switch {
	case shared(c):
		return c
	case c.Answered && c.Source == resilience.Cache && policy.Stale != nil && policy.Stale.FreshFor > 0:
		return c
	}
	var on resilience.Caller = p.guard
	if c.Operation != resilience.DefaultOperation {
		on = p.guard.Operation(c.Operation)
	}
	var opts []resilience.CallOption[struct{}]
	if policy.Stale != nil && share(hash(p.options.Seed, uint64(i), 0)) >= p.options.Unknown {
		opts = append(opts, p.last.For(c.Operation))
	}
	if p.static[c.Operation] {
		opts = append(opts, resilience.FallbackValue(struct{}{}))
	}
	if c.Patience > 0 {
		var leave context.CancelFunc
		ctx, leave = p.clock.WithDeadline(ctx, p.clock.Now().Add(c.Patience))
		defer leave()
	}
	_, _ = resilience.Do(resilience.WithCriticality(ctx, c.Criticality), on, func(ctx context.Context) (struct{}, error) {
		info, _ := resilience.AttemptFrom(ctx)
		s := p.model.attempt(p.offers[i], i, info.Number, p.now())
		if _, err := clock.Recv[struct{}](ctx, p.clock, nil, s.took); err != clock.ErrExpired {
			return struct{}{}, err
		}
		if s.outcome != resilience.Success {
			return struct{}{}, answered{s.outcome, s.after}
		}
		return struct{}{}, nil
	}, opts...) // the listener has heard the result
	return p.ended
}

// shared reports whether a call had the answer of another's attempt (coalescing).
func shared(c record.Call) bool {
	return c.Answered && c.Source <= resilience.Hedge && len(c.Attempts) == 0
}

// notes says what of the policy a replay can't show.
func (p *player) notes() []string {
	var notes []string
	n, cached := 0, 0
	for _, c := range p.calls {
		if shared(c) {
			n++
		}
		if c.Answered && c.Source == resilience.Cache {
			cached++
		}
	}
	if n > 0 {
		notes = append(notes, fmt.Sprintf("Counted as recorded, because another's attempt answered: %s.", several(n, "call")))
	}
	fresh := false
	for name := range p.model.byOperation {
		s := p.operation(name).Stale
		fresh = fresh || s != nil && s.FreshFor > 0
	}
	if fresh && cached == 0 {
		notes = append(notes, "fresh_for is set, and no call of the record was answered from a cache: which calls ask for the same key is not recorded, so all of them are made.")
	}
	return notes
}

// answered is the error of an attempt that was judged so.
type answered struct {
	outcome resilience.Outcome
	after   time.Duration
}

// Error implements error.
func (a answered) Error() string { return "as recorded" }

// Verdict implements resilience.Judged.
func (a answered) Verdict() resilience.Verdict {
	v := resilience.Verdict{Outcome: a.outcome, After: a.after}
	if v.Outcome == resilience.Ignored {
		v.Repeat = resilience.RepeatNever
	}
	return v
}
