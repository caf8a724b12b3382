package chaos

import (
	"context"
	"slices"
	"strconv"
	"sync/atomic"
	"time"
)

// Decide returns the faults that the plan has for a call that begins now, in the
// order of the rules, or nil if there are none. The caller applies all faults that only
// wait, one after the other, and the first of the other faults that it can apply. It calls
// Report for each fault that it applied.
//
// Apart from rules that count calls by arrival, the result depends only on the seed, the
// rules, the time, and the call's identity and attempt.
func (i *Injector) Decide(ctx context.Context, c Call) []Fault {
	if i == nil {
		return nil
	}
	r := i.run.Load()
	if r == nil || r.lapsed() {
		return nil
	}
	i.stats.decisions.Add(1)
	return r.decide(ctx, c, r.elapsed())
}

// DecideAt does what Decide does, but for a given moment of the plan instead of now. The
// plan need not have been started. Rules that count calls by arrival count this call too.
func (i *Injector) DecideAt(ctx context.Context, c Call, elapsed time.Duration) []Fault {
	if i == nil {
		return nil
	}
	r := i.run.Load()
	if r == nil {
		i.mu.Lock()
		r = i.newRunLocked(time.Now(), nil, new(atomic.Int64))
		i.mu.Unlock()
	}
	return r.decide(ctx, c, elapsed)
}

func (r *run) decide(ctx context.Context, c Call, now time.Duration) []Fault {
	var faults []Fault
	complete := false
	for _, rule := range r.rules {
		if !rule.open(now) || !rule.acts(c.Protocol) || !rule.matches(&c) {
			continue
		}
		if !complete {
			c, complete = r.complete(ctx, c), true
		}
		if rule.scopes && !slices.Contains(c.Scopes, rule.Whom.Scope) {
			continue
		}
		if f, ok := rule.choose(r.seed, &c, now); ok {
			faults = append(faults, f)
		}
	}
	return faults
}

// complete fills in the fields of the call that come from the context or from the order of
// arrival.
func (r *run) complete(ctx context.Context, c Call) Call {
	if c.Scopes == nil && r.scoped {
		c.Scopes = ScopesOf(ctx)
	}
	c.Attempt = max(1, c.Attempt)
	if c.Identity == "" {
		c.Identity = RequestOf(ctx)
	}
	if c.Identity == "" && r.arrivals != nil {
		key := c.Dependency + "\x00" + c.Operation
		n, ok := r.arrivals.Load(key)
		if !ok {
			n, _ = r.arrivals.LoadOrStore(key, new(atomic.Uint64))
		}
		c.Identity = "#" + strconv.FormatUint(n.(*atomic.Uint64).Add(1), 10)
	}
	return c
}

// open reports whether the rule's window is open now.
func (r *rule) open(now time.Duration) bool {
	if now < r.from || now >= r.to {
		return false
	}
	if r.When.RepeatEvery > 0 {
		return (now-r.from)%r.When.RepeatEvery < r.When.RepeatFor
	}
	return true
}

// choose decides, by the rule's probability, whether an open rule applies to the call.
func (r *rule) choose(seed uint64, c *Call, now time.Duration) (Fault, bool) {
	if r.counted && !r.counts(c) {
		return Fault{}, false
	}
	roll := newRoll(seed, r.name, c.Identity, c.Attempt)
	p := r.probability
	if ramp := r.When.Ramp; ramp > 0 && now < r.from+ramp {
		p *= float64(now-r.from) / float64(ramp)
	}
	if p < 1 && roll.unit(drawChosen) >= p {
		return Fault{}, false
	}
	if n := r.done.Add(1); r.Often.Count > 0 && n > int64(r.Often.Count) {
		r.done.Add(-1)
		return Fault{}, false
	}
	return r.fault(roll, now), true
}

// fault returns the rule's fault as it applies now.
func (r *rule) fault(roll roll, now time.Duration) Fault {
	f := Fault{Rule: r.name, What: r.What, Begins: r.begins(now), Ends: r.ends(now), roll: roll, made: r.made}
	f.Delay = f.DelayOf(0)
	return f
}

// begins returns when the current part of the window began.
func (r *rule) begins(now time.Duration) time.Duration {
	if every := r.When.RepeatEvery; every > 0 {
		return now - (now-r.from)%every
	}
	return r.from
}

// ends returns when the current part of the window ends.
func (r *rule) ends(now time.Duration) time.Duration {
	if every := r.When.RepeatEvery; every > 0 {
		return min(r.to, now-(now-r.from)%every+r.When.RepeatFor)
	}
	return r.to
}

// counts gives the call its number and reports whether the rule applies to that number.
func (r *rule) counts(c *Call) bool {
	n := c.Attempt
	if r.When.Per != PerRequest {
		n = int(r.calls.Add(1))
	}
	w := r.When
	return (w.Nth == 0 || n == w.Nth) && n > w.After && (w.First == 0 || n <= w.First) && (w.Every == 0 || n%w.Every == 0)
}

// Follow decides for something that lasts while windows open and close, like a connection.
// The chance of each rule is drawn once, when the rule is first open, and again only if the
// rule's probability is changed.
func (i *Injector) Follow(c Call) *Followed {
	return &Followed{injector: i, call: c, rolls: make(map[string]rolled)}
}

// Followed is what Follow returns. It is for one goroutine at a time.
type Followed struct {
	injector *Injector
	call     Call
	rolls    map[string]rolled // by rule
}

// rolled is the result of drawing a rule's chance for something that is followed.
type rolled struct {
	probability float64
	chosen      bool
	roll        roll
}

// Faults returns the faults that apply now.
func (f *Followed) Faults(ctx context.Context) []Fault {
	if f.injector == nil {
		return nil
	}
	r := f.injector.run.Load()
	if r == nil || r.lapsed() {
		return nil
	}
	now := r.elapsed()
	var faults []Fault
	for _, rule := range r.rules {
		if !rule.open(now) || !rule.acts(f.call.Protocol) || !rule.matches(&f.call) {
			continue
		}
		f.call = r.complete(ctx, f.call)
		if rule.scopes && !slices.Contains(f.call.Scopes, rule.Whom.Scope) {
			continue
		}
		last, known := f.rolls[rule.name]
		if !known || last.probability != rule.probability {
			fault, chosen := rule.choose(r.seed, &f.call, now)
			last = rolled{rule.probability, chosen, fault.roll}
			f.rolls[rule.name] = last
		}
		if last.chosen {
			faults = append(faults, rule.fault(last.roll, now))
		}
	}
	return faults
}

// Next returns the time until the set of open rules changes (0 if it will not change any
// more by itself), and a channel that is closed when the plan or its state is changed from
// outside. For a nil Injector the channel is nil.
func (i *Injector) Next() (time.Duration, <-chan struct{}) {
	if i == nil {
		return 0, nil
	}
	i.mu.Lock()
	changed := i.mu.changed
	i.mu.Unlock()
	r := i.run.Load()
	if r == nil || r.lapsed() {
		return 0, changed
	}
	now, next := r.elapsed(), time.Duration(0)
	consider := func(at time.Duration) {
		if at > now && (next == 0 || at-now < next) {
			next = at - now
		}
	}
	for _, rule := range r.rules {
		consider(rule.from)
		if now < rule.to {
			consider(rule.to)
		}
		if every := rule.When.RepeatEvery; every > 0 && now >= rule.from && now < rule.to {
			begin := now - (now-rule.from)%every
			consider(min(rule.to, begin+rule.When.RepeatFor))
			consider(min(rule.to, begin+every))
		}
	}
	if r.lease > 0 && next > 0 {
		next = min(next, max(r.leaseLeft(), time.Millisecond))
	}
	return next, changed
}
