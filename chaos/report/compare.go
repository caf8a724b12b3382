package report

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
)

// Comparison says what changed from one run to another.
type Comparison struct {
	// Better, Worse and Other hold what changed. A change in Other is neither better nor
	// worse, or can't be judged.
	Better, Worse, Other []Change
	// Same counts the figures that did not change by more than chance explains.
	Same int
}

// Change is one thing that changed.
type Change struct {
	Name          string
	Before, After string
}

// noise is how much a number may differ, as a share of the larger one, before it counts as
// changed.
const noise = 0.1

// Compare compares two runs: the verdict, the checks by name, and the metrics. A metric that
// moved by little counts as the same, and so does a quantile of latency that moved by no more
// than chance explains.
func Compare(before, after *Report) Comparison {
	var c Comparison
	c.verdict("verdict", before.Verdict, after.Verdict)
	checks := map[string]Check{}
	for _, check := range before.Checks {
		checks[check.Name] = check
	}
	for _, check := range after.Checks {
		old, ok := checks[check.Name]
		if !ok {
			c.Other = append(c.Other, Change{"check " + check.Name, "not there", string(check.Verdict)})
			continue
		}
		delete(checks, check.Name)
		c.verdict("check "+check.Name, old.Verdict, check.Verdict)
	}
	for _, check := range before.Checks {
		if _, gone := checks[check.Name]; gone {
			c.Other = append(c.Other, Change{"check " + check.Name, string(check.Verdict), "not there"})
		}
	}
	names := maps.Clone(before.Metrics)
	maps.Copy(names, after.Metrics)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		a, was := before.Metrics[name]
		b, is := after.Metrics[name]
		change := Change{name, number(name, a, was), number(name, b, is)}
		switch sign := goal(name); {
		case isQuantile(name) && before.Latencies != nil && after.Latencies != nil: // Below, and exactly.
		case was != is:
			c.Other = append(c.Other, change)
		case same(name, a, b):
			c.Same++
		case sign == 0:
			c.Other = append(c.Other, change)
		case sign > 0 == (b > a):
			c.Better = append(c.Better, change)
		default:
			c.Worse = append(c.Worse, change)
		}
	}
	c.latencies(before.Latencies, after.Latencies)
	return c
}

// quantiles lists the quantiles that are compared.
var quantiles = []struct {
	name string
	q    float64
}{{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}}

// latencies compares the quantiles of the intervals that both runs have.
func (c *Comparison) latencies(before, after map[string]Latencies) {
	for _, stretch := range slices.Sorted(maps.Keys(before)) {
		a, b := before[stretch], after[stretch]
		if len(a) == 0 || len(b) == 0 {
			continue
		}
		for _, quantile := range quantiles {
			was, is := a.Quantile(quantile.q), b.Quantile(quantile.q)
			aFrom, aTo := a.Interval(quantile.q)
			bFrom, bTo := b.Interval(quantile.q)
			change := Change{quantile.name + " of " + stretch, was.String(), is.String()}
			switch {
			case aFrom <= bTo && bFrom <= aTo, same("_s", was.Seconds(), is.Seconds()):
				c.Same++
			case is < was:
				c.Better = append(c.Better, change)
			default:
				c.Worse = append(c.Worse, change)
			}
		}
	}
}

// isQuantile reports whether a metric is a quantile of latency.
func isQuantile(name string) bool {
	return strings.HasPrefix(name, "p50_s") || strings.HasPrefix(name, "p99_s")
}

func (c *Comparison) verdict(name string, a, b Verdict) {
	rank := map[Verdict]int{Failed: 0, Undecided: 1, Passed: 2}
	change := Change{name, string(a), string(b)}
	switch {
	case rank[b] > rank[a]:
		c.Better = append(c.Better, change)
	case rank[b] < rank[a]:
		c.Worse = append(c.Worse, change)
	default:
		c.Same++
	}
}

// goal returns 1 if more of a metric is better, -1 if less is better, and 0 if neither.
func goal(name string) int {
	switch {
	case strings.HasPrefix(name, "good"), name == "means right":
		return 1
	case isTime(name), strings.HasPrefix(name, "amplification"),
		name == "means wrong", name == "means late", name == "means refused":
		return -1
	}
	return 0
}

// same reports whether two values differ by no more than two runs of the same scenario may:
// two of a hundred requests, 5 ms, or a tenth.
func same(name string, a, b float64) bool {
	d := math.Abs(a - b)
	switch {
	case isShare(name):
		return d <= 0.02
	case isTime(name) && d < 0.005:
		return true
	}
	return d <= noise*max(math.Abs(a), math.Abs(b))
}

func isShare(name string) bool {
	return strings.HasPrefix(name, "good") || strings.HasPrefix(name, "means")
}

func isTime(name string) bool { return strings.HasSuffix(name, "_s") || strings.Contains(name, "_s ") }

func number(name string, v float64, there bool) string {
	switch {
	case !there:
		return "not there"
	case isShare(name):
		return fmt.Sprintf("%.1f %%", 100*v)
	case isTime(name):
		return fmt.Sprintf("%.3g s", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// Text returns the comparison for a terminal.
func (c Comparison) Text() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, part := range []struct {
		word string
		all  []Change
	}{{"better", c.Better}, {"worse", c.Worse}, {"changed", c.Other}} {
		for _, change := range part.all {
			fmt.Fprintf(w, "%s\t%s\t%s\t-> %s\n", part.word, change.Name, change.Before, change.After)
		}
	}
	fmt.Fprintf(w, "%d the same\n", c.Same)
	_ = w.Flush() // A strings.Builder takes everything.
	return b.String()
}
