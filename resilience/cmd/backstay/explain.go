package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	sessions "github.com/backstay-go/backstay/clients/cassandra/policyfile"
	"github.com/backstay-go/backstay/internal/cli"
	"github.com/backstay-go/backstay/internal/plural"
	"github.com/backstay-go/backstay/resilience"
)

func (t tool) explain() *cobra.Command {
	var env bool
	c := &cobra.Command{
		Use: "explain FILE", Short: "say what the policies do, with a worked worst case", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, files []string) error {
			all, _, err := t.load(files[0], env)
			if err != nil {
				return cli.BadInput(err)
			}
			for i, name := range slices.Sorted(maps.Keys(all.guards)) {
				if i > 0 {
					fmt.Fprintln(t.Out)
				}
				explain(t.Out, all.guards[name].WithDefaults())
			}
			for i, name := range slices.Sorted(maps.Keys(all.sessions)) {
				if i > 0 || len(all.guards) > 0 {
					fmt.Fprintln(t.Out)
				}
				explainSession(t.Out, name, all.sessions[name])
			}
			return nil
		},
	}
	envFlag(c, &env)
	return c
}

// explainSession says what a Cassandra session's policy does.
func explainSession(out io.Writer, name string, p sessions.Policy) {
	guard := p.Guards()[0]
	guard.Name = name + " (Cassandra)"
	guard = guard.WithDefaults()
	w := guard.Worst()
	// Only profiles are asked for: the default is none of the file.
	w.Operations = slices.DeleteFunc(w.Operations, func(o resilience.OperationWorst) bool { return o.Name == resilience.DefaultOperation })
	explainAs(out, guard, w)
	fmt.Fprintln(out, "  Of Cassandra it asks")
	for _, profile := range slices.Sorted(maps.Keys(p.Profiles)) {
		o := p.Profiles[profile]
		text := o.Consistency.String()
		if o.SerialConsistency != 0 {
			text += ", " + o.SerialConsistency.String() + " for conditional writes"
		}
		if o.Isolated {
			text += "; under a second guard like this one"
		}
		if o.Decision {
			text += "; something is decided on it"
		}
		if o.Degraded != 0 {
			text += "; once more at " + o.Degraded.String() + " if that fails, which the result says"
		}
		if o.PageSize > 0 {
			text += "; pages of " + plural.Count(o.PageSize, "row")
		}
		if o.Failover && p.Failover != nil {
			text += "; in " + p.Failover.DataCenter + " when the local data centre can't answer"
		}
		fmt.Fprintf(out, "    for %s: %s\n", profile, text)
	}
}

// explain says what one policy does, in words, and the most that it admits.
func explain(out io.Writer, p resilience.Policy) { explainAs(out, p, p.Worst()) }

func explainAs(out io.Writer, p resilience.Policy, w resilience.WorstCase) {
	say := func(format string, args ...any) { fmt.Fprintf(out, "  "+format+"\n", args...) }
	fmt.Fprintln(out, p.Name)
	say("%s", bulkhead(p.Bulkhead))
	if p.RateLimit != nil {
		say("Attempts are limited to %g a second, %d at once.", p.RateLimit.PerSecond, p.RateLimit.Burst)
	}
	say("%s", breaker(p.Breaker))
	if w.Ratio > 0 {
		say("Retries and hedges draw on a budget of %s; each first attempt adds %g.", plural.Count(w.Burst, "token"), w.Ratio)
	}
	for _, o := range w.Operations {
		say("%s: %s", o.Name, operation(operationOf(p, o.Name)))
	}
	say("At worst")
	for _, o := range w.Operations {
		say("  a caller of %s waits %s", o.Name, wait(operationOf(p, o.Name), o))
	}
	for _, o := range w.Operations {
		say("  one call of %s makes %s", o.Name, attempts(p, operationOf(p, o.Name), o))
	}
	say("  1000 calls make %s", together(w))
	if w.PerSecond > 0 {
		say("  attempts per second, over a long time: %s", perSecond(p, w))
	}
	say("  %s", goroutines(p, w))
}

func operationOf(p resilience.Policy, name string) resilience.OperationPolicy {
	if name == resilience.DefaultOperation {
		return p.Default
	}
	return p.Operations[name]
}

func bulkhead(b resilience.BulkheadPolicy) string {
	text := plural.Count(b.Limit, "call") + " may run at once"
	if a := b.Adaptive; a != nil {
		text += fmt.Sprintf(", at first; the limit moves between %d and %d to keep %s", a.Min, a.Max, a.Objective)
	}
	switch {
	case b.Queue == 0:
		return text + "; none waits."
	case b.MaxWait > 0:
		text += fmt.Sprintf("; %d may wait, up to %s", b.Queue, b.MaxWait)
	default:
		text += fmt.Sprintf("; %d may wait, until their deadline", b.Queue)
	}
	if b.LIFO {
		return text + ", the newest first under overload."
	}
	return text + ", the oldest first."
}

func breaker(b *resilience.BreakerPolicy) string {
	switch {
	case b == nil:
		return "There is no breaker: calls are made however many have failed."
	case b.Mode == resilience.BreakerForcedOpen:
		return "The breaker is forced open: every call is refused."
	case b.Mode == resilience.BreakerForcedClosed:
		return "The breaker is forced closed: it counts, and refuses nothing."
	case b.Mode == resilience.BreakerDisabled:
		return "The breaker is disabled."
	}
	when := []string{fmt.Sprintf("%g %% failed", 100*b.FailureRate)}
	if b.SlowCall > 0 {
		when = append(when, fmt.Sprintf("%g %% took %s or longer", 100*b.SlowRate, b.SlowCall))
	}
	text := fmt.Sprintf("The breaker opens when, of at least %s within %s, %s. It stays open for %s, twice as long after each failed recovery, up to %s",
		plural.Count(b.MinimumCalls, "call"), b.Window, strings.Join(when, " or "), b.OpenFor, b.MaxOpenFor)
	if b.Jitter > 0 {
		text += fmt.Sprintf(", each up to %g %% more or less", 100*b.Jitter)
	}
	return text + fmt.Sprintf("; then %s in a row close it.", plural.Count(b.Probes, "successful probe"))
}

// operation says what one kind of call does.
func operation(o resilience.OperationPolicy) string {
	text := "a call has " + o.Timeout.String()
	if o.AttemptTimeout > 0 {
		text += fmt.Sprintf(", an attempt %s", o.AttemptTimeout)
	}
	parts := []string{text, "it is " + o.Criticality.String()}
	if r := o.Retry; r != nil {
		what := "what fails"
		if !o.Idempotent {
			what = "only what was certainly not processed"
		}
		parts = append(parts, fmt.Sprintf("%s is tried up to %d times, after pauses of up to %s, growing to %s", what, r.MaxAttempts, r.BaseDelay, r.MaxDelay))
	}
	if h := o.Hedge; h != nil {
		var after []string
		if h.Quantile > 0 {
			after = append(after, fmt.Sprintf("the time that %g %% of calls keep", 100*h.Quantile))
		}
		if h.Delay > 0 {
			after = append(after, h.Delay.String())
		}
		parts = append(parts, fmt.Sprintf("%s may race it after %s", plural.Count(h.MaxHedges, "hedge"), strings.Join(after, ", at first ")))
	}
	if s := o.Stale; s != nil {
		if s.FreshFor > 0 {
			parts = append(parts, fmt.Sprintf("a value is fresh for %s", s.FreshFor))
		}
		parts = append(parts, fmt.Sprintf("the last good value stands in for up to %s", s.MaxAge))
	}
	return strings.Join(parts, "; ") + "."
}

func wait(o resilience.OperationPolicy, w resilience.OperationWorst) string {
	text := fmt.Sprintf("%s = its timeout", w.Wait)
	if w.Queued > 0 {
		text += fmt.Sprintf("; of that at most %s for a permit each time", w.Queued)
	}
	if o.AttemptTimeout > 0 && w.Attempts > 1 && o.Retry != nil {
		text += fmt.Sprintf("; %d attempts x %s = %s", o.Retry.MaxAttempts, o.AttemptTimeout, o.AttemptTimeout*time.Duration(o.Retry.MaxAttempts))
	}
	if w.Overrun {
		text += "; longer if the work ignores its context"
	}
	return text
}

func attempts(p resilience.Policy, o resilience.OperationPolicy, w resilience.OperationWorst) string {
	parts, sum := []string{"1"}, 1
	if o.Retry != nil {
		parts, sum = append(parts, plural.Count(o.Retry.MaxAttempts-1, "retry")), sum+o.Retry.MaxAttempts-1
	}
	if o.Hedge != nil {
		parts, sum = append(parts, plural.Count(o.Hedge.MaxHedges, "hedge")), sum+o.Hedge.MaxHedges
	}
	text := plural.Count(w.Attempts, "attempt")
	if len(parts) > 1 {
		text += " = " + strings.Join(parts, " + ")
	}
	if w.Attempts < sum {
		text += fmt.Sprintf(", but no more than 1 + budget.burst %d", p.Budget.Burst)
	}
	if e := p.Expect; e != nil && e.RetryingLayers > 0 && w.Attempts > 1 {
		text += fmt.Sprintf("; with %s above that do the same, %g for one request", plural.Count(e.RetryingLayers, "layer"), w.Layered)
	}
	return text
}

func together(w resilience.WorstCase) string {
	if w.Ratio == 0 {
		return "1000 attempts: nothing is repeated"
	}
	return fmt.Sprintf("%d attempts = 1000 x (1 + budget.ratio %g) + budget.burst %d", w.Attempts(1000), w.Ratio, w.Burst)
}

func perSecond(p resilience.Policy, w resilience.WorstCase) string {
	text := fmt.Sprintf("%.4g = ", w.PerSecond)
	if p.RateLimit != nil && w.PerSecond == p.RateLimit.PerSecond {
		return text + "rate_limit.per_second"
	}
	return text + fmt.Sprintf("expect.per_second %g x (1 + %g)", p.Expect.PerSecond, w.Ratio)
}

func goroutines(p resilience.Policy, w resilience.WorstCase) string {
	parts := []string{fmt.Sprintf("%d running", w.Running), fmt.Sprintf("%d waiting", w.Waiting)}
	if w.Pausing > 0 {
		parts = append(parts, fmt.Sprintf("%d pausing before a retry", w.Pausing))
	}
	if w.Goroutines > w.Running+w.Waiting+w.Pausing {
		parts = append(parts, fmt.Sprintf("%d for attempts that are hedged or detached", w.Running))
	}
	text := fmt.Sprintf("the calls hold %s = %s", plural.Count(w.Goroutines, "goroutine"), strings.Join(parts, " + "))
	if w.Pausing > 0 && (p.Expect == nil || p.Expect.PerSecond == 0) {
		text += " (more may pause if calls are many; expect.per_second says how many)"
	}
	return text
}
