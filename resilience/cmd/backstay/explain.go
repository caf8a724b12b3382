package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/backstay-go/backstay/resilience"
	"github.com/backstay-go/backstay/resilience/policyfile"
)

// explain says what each policy does, in words, and the most that it admits.
func explain(policies policyfile.Policies, out io.Writer) {
	for i, name := range slices.Sorted(maps.Keys(policies)) {
		if i > 0 {
			fmt.Fprintln(out)
		}
		p := policies[name].WithDefaults()
		w := p.Worst()
		fmt.Fprintf(out, "%s\n", name)
		fmt.Fprintf(out, "  At most %d calls run at once, and %d wait for a permit.\n", w.Running, w.Waiting)
		if p.Breaker != nil {
			fmt.Fprintf(out, "  The breaker %s.\n", breaker(*p.Breaker))
		} else {
			fmt.Fprintln(out, "  There is no breaker: a dependency that is down is asked every time.")
		}
		if p.RateLimit != nil {
			fmt.Fprintf(out, "  At most %g attempts a second, in bursts of %d.\n", p.RateLimit.PerSecond, p.RateLimit.Burst)
		}
		if w.Ratio > 0 {
			fmt.Fprintf(out, "  1,000 calls make at most %d attempts, in whatever weather (budget: %g of the calls, and %d at once).\n", w.Attempts(1000), w.Ratio, w.Burst)
		} else {
			fmt.Fprintln(out, "  A call is one attempt.")
		}
		fmt.Fprintf(out, "  At worst %d goroutines are held.\n", w.Goroutines)
		for _, o := range w.Operations {
			policy := p.Default
			if named, ok := p.Operations[o.Name]; ok {
				policy = named
			}
			fmt.Fprintf(out, "  %s: %s\n", o.Name, operation(policy, o))
		}
	}
}

func breaker(b resilience.BreakerPolicy) string {
	var when []string
	if b.FailureRate > 0 {
		when = append(when, fmt.Sprintf("%.0f %% of the calls failed", 100*b.FailureRate))
	}
	if b.SlowRate > 0 && b.SlowCall > 0 {
		when = append(when, fmt.Sprintf("%.0f %% took longer than %s", 100*b.SlowRate, b.SlowCall))
	}
	return fmt.Sprintf("opens when, of at least %d calls within %s, %s; it stays open for %s, growing to %s, and then admits %d probes",
		b.MinimumCalls, b.Window, strings.Join(when, " or "), b.OpenFor, b.MaxOpenFor, b.Probes)
}

func operation(p resilience.OperationPolicy, o resilience.OperationWorst) string {
	parts := []string{fmt.Sprintf("the caller waits at most %s", o.Wait)}
	if o.Overrun {
		parts[0] += " (longer if the work ignores its context)"
	}
	if o.Queued > 0 {
		parts = append(parts, fmt.Sprintf("of that at most %s for a permit", o.Queued))
	}
	if o.Attempts > 1 {
		parts = append(parts, fmt.Sprintf("at most %d attempts", o.Attempts))
	}
	if p.Stale != nil {
		parts = append(parts, fmt.Sprintf("the last good value stands in for %s", p.Stale.MaxAge))
	}
	return strings.Join(parts, "; ") + "."
}
