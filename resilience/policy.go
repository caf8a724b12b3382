package resilience

import (
	"fmt"
	"time"
)

// Policy says how one dependency is called: what its calls share, and each kind
// of call. It is plain data: copy it, print it, read it from YAML (package
// policyfile). A nil pointer means that the policy is off; a zero field inside a
// policy that is on means the default its comment names. Name, Bulkhead.Limit and
// each operation's Timeout have no default: without a name, a limit and a
// deadline there is no guard.
type Policy struct {
	// Name is the dependency's name in errors, spans and metrics. Required; a
	// handful of values a process, never a host or a user.
	Name string `json:"name" yaml:"name"`
	// Bulkhead bounds how many calls run and wait at once. Required.
	Bulkhead BulkheadPolicy `json:"bulkhead" yaml:"bulkhead"`
	// RateLimit bounds the attempts per second. Nil: no bound.
	RateLimit *RateLimitPolicy `json:"rate_limit,omitempty" yaml:"rate_limit,omitempty"`
	// Breaker refuses calls while the dependency fails. Nil: no breaker.
	Breaker *BreakerPolicy `json:"breaker,omitempty" yaml:"breaker,omitempty"`
	// Throttle refuses a part of the calls while the dependency does not take them. Nil: none.
	Throttle *ThrottlePolicy `json:"throttle,omitempty" yaml:"throttle,omitempty"`
	// Budget bounds what retries and hedges may add. Nil: the defaults of
	// BudgetPolicy, if any operation retries or hedges.
	Budget *BudgetPolicy `json:"budget,omitempty" yaml:"budget,omitempty"`
	// Errors says what errors mean that code has given a name (WithError, WithErrorFunc).
	// Nil: the classifier judges every error.
	Errors *ErrorsPolicy `json:"errors,omitempty" yaml:"errors,omitempty"`
	// Default is the operation that the guard itself stands for.
	Default OperationPolicy `json:"default" yaml:"default"`
	// Operations are the named kinds of call. Each stands on its own: nothing is
	// inherited from Default, so that reading one tells all of it.
	Operations map[string]OperationPolicy `json:"operations,omitempty" yaml:"operations,omitempty"`
	// Expect states the load that the policy is made for. It changes nothing at run
	// time; Check holds the rest against it. Nil: those findings are not made.
	Expect *Expectation `json:"expect,omitempty" yaml:"expect,omitempty"`
	_      struct{}
}

// Expectation is the load that a policy is made for.
type Expectation struct {
	// PerSecond is the rate of calls at the busiest time. Zero: not stated.
	PerSecond float64 `json:"per_second,omitempty" yaml:"per_second,omitempty"`
	// Latency is how long a healthy call takes, on average. Zero: not stated.
	Latency time.Duration `json:"latency,omitempty" yaml:"latency,omitempty"`
	// RetryingLayers is the number of callers above this one, one on top of the
	// other, that retry by themselves. Zero: none.
	RetryingLayers int `json:"retrying_layers,omitempty" yaml:"retrying_layers,omitempty"`
	_              struct{}
}

// OperationPolicy says how one kind of call runs.
type OperationPolicy struct {
	// Timeout bounds the whole call as its caller sees it: waiting, attempts and
	// pauses between them. Required, above zero. A caller's own earlier deadline wins.
	Timeout time.Duration `json:"timeout" yaml:"timeout"`
	// AttemptTimeout bounds one attempt. Zero: an attempt may use what is left of Timeout.
	AttemptTimeout time.Duration `json:"attempt_timeout,omitempty" yaml:"attempt_timeout,omitempty"`
	// Idempotent declares that running the call twice does no harm. Retries, except
	// of what was certainly not processed, and hedges need it. Default: false.
	Idempotent bool `json:"idempotent,omitempty" yaml:"idempotent,omitempty"`
	// Criticality decides which calls are served first and refused last while some wait; without
	// Bulkhead.Queue nobody waits and it decides nothing. Default: Critical.
	Criticality Criticality `json:"criticality,omitempty" yaml:"criticality,omitempty"`
	// Retry repeats failed attempts. Nil: one attempt.
	Retry *RetryPolicy `json:"retry,omitempty" yaml:"retry,omitempty"`
	// Hedge starts a second attempt when the first is slow. Nil: never.
	Hedge *HedgePolicy `json:"hedge,omitempty" yaml:"hedge,omitempty"`
	// Stale says how old a remembered value may be that LastGood serves. Nil: calls with a
	// LastGood are refused, with ErrPolicy.
	Stale *StalePolicy `json:"stale,omitempty" yaml:"stale,omitempty"`
	// Detach runs the call on another goroutine and returns to the caller at
	// the deadline even if the call ignores its context. The permit stays with the
	// work until it ends. Default: false, Do returns when the call does.
	Detach bool `json:"detach,omitempty" yaml:"detach,omitempty"`
	// Calls names the operations of other guards that one attempt waits for, as
	// GUARD.OPERATION, or GUARD for its default operation. It changes nothing at run
	// time: package policyfile warns when the attempt has less time than they have.
	// Default: none.
	Calls []string `json:"calls,omitempty" yaml:"calls,omitempty"`
	_     struct{}
}

// BulkheadPolicy bounds the calls that run at once, and those that wait to.
type BulkheadPolicy struct {
	// Limit is the number of calls that may run at once. Required, at least 1.
	// With Adaptive it is where the limit starts.
	Limit int `json:"limit" yaml:"limit"`
	// Queue is the number of calls that may wait. Zero: none waits.
	Queue int `json:"queue,omitempty" yaml:"queue,omitempty"`
	// MaxWait bounds one call's wait. Zero: until its deadline.
	MaxWait time.Duration `json:"max_wait,omitempty" yaml:"max_wait,omitempty"`
	// LIFO serves the newest waiter first while the queue is under overload (its oldest
	// waits for more than half of what a full queue takes to drain), and first come
	// first served otherwise. Default: FIFO always.
	LIFO bool `json:"lifo,omitempty" yaml:"lifo,omitempty"`
	// MaxShare is the share of the limit, in (0, 1], that one operation may hold, or one key
	// of WithShareKey, but always one permit; so that a runaway neighbour leaves room for the
	// others. Zero: no bound.
	MaxShare float64 `json:"max_share,omitempty" yaml:"max_share,omitempty"`
	// Adaptive moves the limit to keep a latency objective. Nil: the limit is fixed.
	Adaptive *AdaptivePolicy `json:"adaptive,omitempty" yaml:"adaptive,omitempty"`
	_        struct{}
}

// AdaptivePolicy moves a bulkhead's limit so that as many calls as possible are answered
// within a latency objective.
type AdaptivePolicy struct {
	// Objective is the latency that calls should keep, waiting included. Required.
	// While nine of ten attempts take less than half of it, the limit grows as it is
	// used. Beyond that it moves by trial steps, which are kept if they show a queue in
	// the dependency (down) or none (up). No call waits longer in the guard than half
	// of what attempts leave of the objective. Make it at least twice a healthy latency.
	Objective time.Duration `json:"objective" yaml:"objective"`
	// Min is the floor that keeps probing. Default: 1.
	Min int `json:"min,omitempty" yaml:"min,omitempty"`
	// Max is the ceiling. Default: 10 x Limit.
	Max int `json:"max,omitempty" yaml:"max,omitempty"`
	_   struct{}
}

// RateLimitPolicy bounds attempts per second by a token bucket.
type RateLimitPolicy struct {
	// PerSecond is the sustained rate, above zero. Required.
	PerSecond float64 `json:"per_second" yaml:"per_second"`
	// Burst is the bucket's size. Default: PerSecond rounded up, at least 1.
	Burst int `json:"burst,omitempty" yaml:"burst,omitempty"`
	// MaxWait bounds how long an attempt may wait for a token. Hedges never wait. Zero: it
	// is refused at once.
	MaxWait time.Duration `json:"max_wait,omitempty" yaml:"max_wait,omitempty"`
	_       struct{}
}

// ThrottlePolicy refuses a part of the calls while the dependency refuses, or fails, a
// part of them, in proportion: with fewer than 1 of K calls accepted the rest is not sent.
// A breaker knows only all or nothing.
type ThrottlePolicy struct {
	// K is how many requests are sent for each one that is accepted, at least 1. The larger,
	// the more is sent in vain, and the sooner a recovery is seen. Default: 2.
	K float64 `json:"k,omitempty" yaml:"k,omitempty"`
	// Window is the length of the rolling window. Default: 2 m.
	Window time.Duration `json:"window,omitempty" yaml:"window,omitempty"`
	_      struct{}
}

// ErrorsPolicy says what named errors mean, before the classifier is asked. The names are
// those of WithError and WithErrorFunc; New and Update refuse others. The caller's own end
// and refusals of the guard itself are never looked at. An error that has a name in both
// lists is a failure.
type ErrorsPolicy struct {
	// Failure names errors that count as failures. Whether they may be repeated is still
	// for the classifier to say, or for the error's own verdict. Default: none.
	Failure []string `json:"failure,omitempty" yaml:"failure,omitempty"`
	// Ignored names errors that count for nothing and are final: they are not repeated, and
	// no fallback hides them. Default: none.
	Ignored []string `json:"ignored,omitempty" yaml:"ignored,omitempty"`
	_       struct{}
}

// BreakerPolicy opens a circuit when too many calls fail or are slow.
type BreakerPolicy struct {
	// Window is the length of the rolling window. Default: 10 s.
	Window time.Duration `json:"window,omitempty" yaml:"window,omitempty"`
	// WindowCalls makes the window the newest calls, this many, however old they are, in
	// place of those within Window; up to 100000. Zero: the window is a time.
	WindowCalls int `json:"window_calls,omitempty" yaml:"window_calls,omitempty"`
	// ConsecutiveFailures opens the circuit after this many failures in a row, whatever
	// MinimumCalls and the rates say. Zero: failures in a row are not looked at.
	ConsecutiveFailures int `json:"consecutive_failures,omitempty" yaml:"consecutive_failures,omitempty"`
	// MinimumCalls is the number of observations below which nothing trips. Default: 20.
	MinimumCalls int `json:"minimum_calls,omitempty" yaml:"minimum_calls,omitempty"`
	// FailureRate trips when this share of calls failed, in (0, 1]. Default: 0.5.
	FailureRate float64 `json:"failure_rate,omitempty" yaml:"failure_rate,omitempty"`
	// SlowCall is the latency from which a call counts as slow. Zero: none does.
	SlowCall time.Duration `json:"slow_call,omitempty" yaml:"slow_call,omitempty"`
	// SlowRate trips when this share of calls was slow, in (0, 1]. Default, with SlowCall: 0.8.
	SlowRate float64 `json:"slow_rate,omitempty" yaml:"slow_rate,omitempty"`
	// OpenFor is the first open period. Default: 5 s.
	OpenFor time.Duration `json:"open_for,omitempty" yaml:"open_for,omitempty"`
	// MaxOpenFor bounds the open period, which doubles with every failed recovery.
	// Default: 6 x OpenFor.
	MaxOpenFor time.Duration `json:"max_open_for,omitempty" yaml:"max_open_for,omitempty"`
	// Jitter spreads open periods by up to this share either way, in [0, 1). A negative
	// value, which is what a 0 in a file means, is none. Default: 0.2.
	Jitter float64 `json:"jitter,omitempty" yaml:"jitter,omitempty" zero:"-1"`
	// Probes is the number of successful probes that closes a half-open circuit;
	// at most 1, 2, 4, ... of them run at once. Default: 5.
	Probes int `json:"probes,omitempty" yaml:"probes,omitempty"`
	// ProbeTimeout ends a probe's reservation if it has not reported by then, as a
	// failure. Default: the operation's attempt timeout, else its timeout.
	ProbeTimeout time.Duration `json:"probe_timeout,omitempty" yaml:"probe_timeout,omitempty"`
	// Mode forces the breaker. Default: BreakerAuto.
	Mode BreakerMode `json:"mode,omitempty" yaml:"mode,omitempty"`
	_    struct{}
}

// BreakerMode is what an operator may force on a breaker.
type BreakerMode string

// The modes of a breaker.
const (
	// BreakerAuto lets the breaker decide.
	BreakerAuto BreakerMode = ""
	// BreakerForcedOpen refuses every call.
	BreakerForcedOpen BreakerMode = "open"
	// BreakerForcedClosed admits every call and keeps counting.
	BreakerForcedClosed BreakerMode = "closed"
	// BreakerDisabled admits every call and counts nothing.
	BreakerDisabled BreakerMode = "disabled"
)

func (m BreakerMode) valid() bool {
	switch m {
	case BreakerAuto, BreakerForcedOpen, BreakerForcedClosed, BreakerDisabled:
		return true
	}
	return false
}

// RetryPolicy repeats failed attempts of an idempotent call, and of any call
// that was certainly not processed.
type RetryPolicy struct {
	// MaxAttempts counts the first attempt too; 1 switches retries off. Default: 3.
	MaxAttempts int `json:"max_attempts,omitempty" yaml:"max_attempts,omitempty"`
	// BaseDelay is the upper bound of the first pause, which is drawn evenly from
	// zero to it (full jitter). A negative value, which is what a 0 in a file means, is
	// no pause. Default: 50 ms.
	BaseDelay time.Duration `json:"base_delay,omitempty" yaml:"base_delay,omitempty" zero:"-1ns"`
	// MaxDelay bounds a pause. Default: 2 s.
	MaxDelay time.Duration `json:"max_delay,omitempty" yaml:"max_delay,omitempty"`
	// Multiplier grows the bound from pause to pause, at least 1. Default: 2.
	Multiplier float64 `json:"multiplier,omitempty" yaml:"multiplier,omitempty"`
	_          struct{}
}

// BudgetPolicy is the token bucket that retries and hedges draw on together. The
// dependency gets at most (1 + Ratio) x first attempts + Burst attempts, and PerSecond
// more for each second (Policy.Amplification).
type BudgetPolicy struct {
	// Ratio is what one first attempt adds to the bucket, in (0, 1]. A negative value,
	// which is what a 0 in a file means, adds nothing. Default: 0.2.
	Ratio float64 `json:"ratio,omitempty" yaml:"ratio,omitempty" zero:"-1"`
	// Burst is the bucket's size in tokens, and what it starts with. A negative value,
	// which is what a 0 in a file means, forbids all retries and hedges of the guard.
	// Default: 10.
	Burst int `json:"burst,omitempty" yaml:"burst,omitempty" zero:"-1"`
	// PerSecond is what each second adds to the bucket, calls or not, up to a million, so
	// that a guard with few calls can repeat some of them. Zero: time adds nothing.
	PerSecond float64 `json:"per_second,omitempty" yaml:"per_second,omitempty"`
	_         struct{}
}

// HedgePolicy starts another attempt when one is slow. The first success wins;
// the others are cancelled and their results disposed of.
type HedgePolicy struct {
	// Delay is how long to wait before the hedge. One of Delay and Quantile is required.
	Delay time.Duration `json:"delay,omitempty" yaml:"delay,omitempty"`
	// Quantile waits for this quantile of measured latency, in (0, 1), for example 0.95.
	Quantile float64 `json:"quantile,omitempty" yaml:"quantile,omitempty"`
	// MaxHedges is the number of hedges that one call may start, up to 100. A negative
	// value, which is what a 0 in a file means, switches hedges off. Default: 1.
	MaxHedges int `json:"max_hedges,omitempty" yaml:"max_hedges,omitempty" zero:"-1"`
	_         struct{}
}

// StalePolicy says how old a remembered value may be (stale-if-error, RFC 5861).
type StalePolicy struct {
	// MaxAge is the oldest value that is served when the call fails. Required.
	MaxAge time.Duration `json:"max_age" yaml:"max_age"`
	// FreshFor serves a remembered value of at most this age without a call, with
	// source Cache. Zero: every call is made.
	FreshFor time.Duration `json:"fresh_for,omitempty" yaml:"fresh_for,omitempty"`
	// RefreshAhead starts a call in the background once a fresh value is older than
	// this, or up to a tenth later, so that values of one age are not refreshed at once;
	// after a failure with a growing pause. Zero: never, and FreshFor is up to a tenth
	// shorter. Must be below FreshFor.
	RefreshAhead time.Duration `json:"refresh_ahead,omitempty" yaml:"refresh_ahead,omitempty"`
	_            struct{}
}

// Criticality is the importance of a call; under overload the least important
// are refused first. The values are those of Google's SRE book, chapter 21.
type Criticality int8

// The classes of criticality. The zero value is Critical.
const (
	// Critical calls are visible to a user; the default.
	Critical Criticality = 0
	// CriticalPlus calls are refused last.
	CriticalPlus Criticality = 1
	// SheddablePlus calls may be refused for minutes: batch work.
	SheddablePlus Criticality = -1
	// Sheddable calls may be refused for long: prefetching, analysis.
	Sheddable Criticality = -2
)

var criticalityNames = map[Criticality]string{
	CriticalPlus: "critical_plus", Critical: "critical", SheddablePlus: "sheddable_plus", Sheddable: "sheddable",
}

// String returns critical_plus, critical, sheddable_plus or sheddable.
func (c Criticality) String() string {
	if name, ok := criticalityNames[c]; ok {
		return name
	}
	return "unknown"
}

// MarshalText makes a class readable in JSON and YAML.
func (c Criticality) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads what String writes.
func (c *Criticality) UnmarshalText(text []byte) error {
	for class, name := range criticalityNames {
		if name == string(text) {
			*c = class
			return nil
		}
	}
	return fmt.Errorf("%w: criticality %q is none of critical_plus, critical, sheddable_plus, sheddable", ErrPolicy, text)
}
