package resilience_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

const reference = "../docs/reference/policies.md"

// everything has every policy on, and what is required; the rest is for the defaults.
func everything() resilience.Policy {
	return resilience.Policy{
		Name:      "dep",
		Bulkhead:  resilience.BulkheadPolicy{Limit: 7, Adaptive: &resilience.AdaptivePolicy{Objective: time.Second}},
		RateLimit: &resilience.RateLimitPolicy{PerSecond: 2.5},
		Breaker:   &resilience.BreakerPolicy{SlowCall: time.Second},
		Budget:    &resilience.BudgetPolicy{},
		Throttle:  &resilience.ThrottlePolicy{},
		Errors:    &resilience.ErrorsPolicy{},
		Default: resilience.OperationPolicy{
			Timeout: time.Second, Idempotent: true, Retry: &resilience.RetryPolicy{}, Hedge: &resilience.HedgePolicy{Delay: time.Millisecond},
			Stale: &resilience.StalePolicy{MaxAge: time.Second},
		},
		Expect: &resilience.Expectation{},
	}
}

// leaves are the fields of a policy with their values, by path as in YAML. An
// operation's fields stand at the top.
func leaves(v reflect.Value, path string, found map[string]any) {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		found[strings.TrimPrefix(path, "default.")] = v.Interface()
		return
	}
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		if name == "" || name == "operations" { // an operation is reported once
			continue
		}
		if path != "" {
			name = path + "." + name
		}
		leaves(v.Field(i), name, found)
	}
}

// TestReferenceHasTheDefaults compares the tables with what the code fills in: a
// field that is required there has none here, a default there is that of here, and
// no field is missing.
func TestReferenceHasTheDefaults(t *testing.T) {
	page, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	reported := map[string]string{}
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(line, "|")
		if len(cells) == 5 && strings.HasPrefix(cells[1], " `") {
			reported[strings.Trim(cells[1], " `")] = strings.TrimSpace(cells[2])
		}
	}
	set, filled := map[string]any{}, map[string]any{}
	p := everything()
	leaves(reflect.ValueOf(p), "", set)
	p = p.WithDefaults()
	leaves(reflect.ValueOf(p), "", filled)
	// Defaults that follow from another field.
	want := map[string]string{
		"bulkhead.adaptive.max": fmt.Sprintf("%d x limit", p.Bulkhead.Adaptive.Max/p.Bulkhead.Limit),
		"breaker.max_open_for":  fmt.Sprintf("%d x open_for", p.Breaker.MaxOpenFor/p.Breaker.OpenFor),
		"rate_limit.burst":      map[int]string{3: "per_second, rounded up"}[p.RateLimit.Burst],
		"criticality":           "critical",
		"hedge.delay":           "none", // one of it and quantile is needed
		"breaker.slow_call":     "none",
		"idempotent":            "false",
		"detach":                "false",
		"bulkhead.lifo":         "false",
	}
	for field, value := range filled {
		if want[field] == "" {
			switch {
			case !reflect.ValueOf(set[field]).IsZero():
				want[field] = "required"
			case reflect.ValueOf(value).IsZero():
				want[field] = "none"
			default:
				want[field] = fmt.Sprint(value)
			}
		}
		if reported[field] != want[field] {
			t.Errorf("%s: the page says %q, the code %q", field, reported[field], want[field])
		}
		delete(reported, field)
	}
	for field := range reported {
		t.Errorf("%s is in the page, and no field of a policy", field)
	}
}

// TestReferenceCodeRuns: code in the page is that of the examples.
func TestReferenceCodeRuns(t *testing.T) {
	page, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("example*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var examples []byte
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		examples = append(examples, text...)
	}
	blocks := strings.Split(string(page), "```go\n")[1:]
	if len(blocks) < 10 {
		t.Errorf("%d blocks of code; want one a policy", len(blocks))
	}
	for _, block := range blocks {
		code, _, _ := strings.Cut(block, "```")
		if !strings.Contains(string(examples), code) {
			t.Errorf("no example has this:\n%s", code)
		}
	}
}

// TestReferenceHasEachPolicyInOneShape: the same headings for each.
func TestReferenceHasEachPolicyInOneShape(t *testing.T) {
	page, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	sections := strings.Split(string(page), "\n## ")[1:]
	for _, section := range sections {
		title, text, _ := strings.Cut(section, "\n")
		at := 0
		for _, heading := range []string{"### About", "### Usage", "### Defaults", "### Telemetry", "### Patterns and anti-patterns"} {
			i := strings.Index(text[at:], heading)
			if i < 0 {
				t.Errorf("%s: no %q in its place", title, heading)
				break
			}
			at += i
		}
	}
	if len(sections) != 14 {
		t.Errorf("%d sections", len(sections))
	}
}
