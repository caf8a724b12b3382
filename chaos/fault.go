package chaos

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrInjected matches every error that a fault makes. Such errors are of type
// *InjectedError.
var ErrInjected = errors.New("chaos: injected fault")

// An InjectedError is the error of a fault. Its type distinguishes it from real errors.
type InjectedError struct {
	Rule       string
	Kind       Kind
	Dependency string
	Operation  string
	Message    string
	Code       string // What.Code
	Err        error  // what the caller registered for the code, or nil
}

func (e *InjectedError) Error() string {
	what := e.Dependency
	if e.Operation != "" {
		what += " " + e.Operation
	}
	msg := e.Message
	if msg == "" && e.Err != nil {
		msg = e.Err.Error()
	}
	if msg == "" {
		msg = cmp.Or(e.Code, string(e.Kind))
	}
	return fmt.Sprintf("%s: %s (injected by chaos rule %q)", what, msg, e.Rule)
}

// Is makes errors.Is(err, ErrInjected) true.
func (e *InjectedError) Is(target error) bool { return target == ErrInjected }

// Unwrap returns the registered error.
func (e *InjectedError) Unwrap() error { return e.Err }

// A Fault is a rule that was chosen for a call. It is plain data, and describes the moment
// of the decision.
type Fault struct {
	Rule  string
	What  What
	Delay time.Duration // drawn; 0 if the kind has none
	// Begins and Ends are the beginning and the end of the current part of the rule's
	// window, counted from the plan's start; the TTL can make the end earlier. A fault
	// must not last beyond Ends.
	Begins, Ends time.Duration

	roll roll
	made uint64 // hash of the rule's What
}

// DelayOf returns the nth delay of the fault. Number 0 is Delay. A connection draws one
// delay per read.
func (f Fault) DelayOf(n uint64) time.Duration { return f.What.draw(f.roll, n) }

// Pick returns a number from 0 to n-1 for the ith choice, such as which byte to damage.
// n must be above 0.
func (f Fault) Pick(i uint64, n int) int {
	return int(f.roll.word(drawBytes+i<<8) % uint64(n))
}

// Err returns the fault as an error of the call.
func (f Fault) Err(c Call) *InjectedError {
	return &InjectedError{Rule: f.Rule, Kind: f.What.Kind, Dependency: c.Dependency, Operation: c.Operation, Message: f.What.Message, Code: f.What.Code}
}

// Sleep waits for d, until the context ends, or until the fault ends, whichever
// is first. A fault also ends when an update changes the What of its rule. Sleep returns the
// context's error if the context ended the wait.
func (i *Injector) Sleep(ctx context.Context, f Fault, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		left, changed := i.left(f)
		if left <= 0 {
			return ctx.Err()
		}
		end := time.NewTimer(left)
		select {
		case <-timer.C:
			end.Stop()
			return nil
		case <-ctx.Done():
			end.Stop()
			return context.Cause(ctx)
		case <-end.C:
		case <-changed:
			end.Stop()
		}
	}
}

// Over reports whether the fault has ended, because its rule's window, its plan or the
// whole run has ended.
func (i *Injector) Over(f Fault) bool {
	left, _ := i.left(f)
	return left <= 0
}

// left returns how long the fault still lasts; the channel is closed when that changes.
func (i *Injector) left(f Fault) (time.Duration, <-chan struct{}) {
	i.mu.Lock()
	changed := i.mu.changed
	i.mu.Unlock()
	r := i.run.Load()
	if r == nil || r.lapsed() {
		return 0, changed
	}
	now := r.elapsed()
	rule := r.find(f.Rule)
	if rule == nil || !rule.open(now) || rule.made != f.made {
		return 0, changed
	}
	left := min(f.Ends, rule.ends(now)) - now
	if r.lease > 0 {
		left = min(left, r.leaseLeft())
	}
	return left, changed
}
