package policyfile_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/backstay-go/backstay/resilience"
	"github.com/backstay-go/backstay/resilience/policyfile"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const good = `guards:
  membership:
    bulkhead: {limit: 64, queue: 64, maxWait: 100ms}
    breaker: {failureRate: 0.5}
    default: {timeout: 500ms}
    operations:
      plan:
        timeout: 500ms
        attemptTimeout: 200ms
        idempotent: true
        criticality: critical
        retry: {maxAttempts: 2, baseDelay: 20ms}
  catalog:
    bulkhead: {limit: 8}
    default: {timeout: 1s}
`

func TestAFileBecomesPolicies(t *testing.T) {
	policies, _, err := policyfile.Parse("p.yaml", []byte(good))
	if err != nil {
		t.Fatal(err)
	}
	plan := policies["membership"].Operations["plan"]
	if len(policies) != 2 || policies["catalog"].Name != "catalog" || plan.AttemptTimeout != 200*time.Millisecond || plan.Retry.MaxAttempts != 2 || !plan.Idempotent {
		t.Errorf("%+v", policies)
	}
}

func TestBadFilesSayWhere(t *testing.T) {
	for _, c := range []struct{ name, text, says string }{
		{"no YAML", "guards: [", "p.yaml:"},
		{"empty", "", "guards is empty"},
		{"unknown field", strings.Replace(good, "queue: 64", "que: 64", 1), "[3:"},
		{"a number for a duration", strings.Replace(good, "timeout: 1s", "timeout: fast", 1), "[15:"},
		{"no limit", strings.Replace(good, "bulkhead: {limit: 8}", "bulkhead: {limit: 0}", 1), "p.yaml:14: error: guards.catalog.bulkhead.limit"},
		{"attempts longer than the total", strings.Replace(good, "attemptTimeout: 200ms", "attemptTimeout: 2s", 1), "p.yaml:9: error: guards.membership.operations.plan.attemptTimeout"},
		{"another name", strings.Replace(good, "  catalog:\n", "  catalog:\n    name: other\n", 1), "leave it out"},
	} {
		t.Run(c.name, func(t *testing.T) {
			policies, _, err := policyfile.Parse("p.yaml", []byte(c.text))
			if !errors.Is(err, policyfile.ErrFile) || policies != nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("want ErrFile saying %q, got %v", c.says, err)
			}
		})
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

func TestAWatchedFileIsSwappedOnlyWhenValid(t *testing.T) {
	file := filepath.Join(t.TempDir(), "policies.yaml")
	write(t, file, good)
	set, err := policyfile.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := set.Close(); err != nil {
			t.Error(err)
		}
	}()
	catalog, err := set.Guard("catalog")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := set.Guard("billing"); err == nil || !strings.Contains(err.Error(), "catalog, membership") {
		t.Errorf("no such guard: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	told, ended := make(chan error, 100), make(chan error)
	go func() { ended <- set.Watch(ctx, func(err error) { told <- err }) }()
	// The watcher may begin after a change: it is made again until it is seen.
	change := func(text string, seen func(error) bool) {
		t.Helper()
		deadline := time.After(20 * time.Second)
		for {
			write(t, file, text)
			select {
			case err := <-told:
				if seen(err) {
					return
				}
			case <-time.After(500 * time.Millisecond):
			case <-deadline:
				t.Fatal("the change was not seen within 20 s")
			}
		}
	}
	change(strings.Replace(good, "limit: 8", "limit: 9", 1), func(err error) bool { return err == nil && catalog.Snapshot().Limit == 9 })
	change(strings.Replace(good, "limit: 8", "limit: -1", 1), func(err error) bool { return errors.Is(err, policyfile.ErrFile) })
	if got := catalog.Snapshot().Limit; got != 9 {
		t.Errorf("a bad file changed the limit to %d", got)
	}
	gone, _, _ := strings.Cut(good, "  catalog:")
	change(gone, func(err error) bool { return err != nil && strings.Contains(err.Error(), `"catalog" is in use`) })
	change(good+"  keys:\n    bulkhead: {limit: 1}\n    default: {timeout: 1s}\n", func(err error) bool { return err == nil })
	if _, err := set.Guard("keys"); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("watch ended with %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte("guards: {a: {bulkhead: {limit: 1}, default: {timeout: 1s}}}"))
	f.Add([]byte("guards:\n  a: &x {default: *x}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		policies, _, err := policyfile.Parse("f.yaml", text)
		if err != nil && policies != nil {
			t.Error("an error and policies")
		}
		for _, p := range policies {
			g, err := resilience.New(p)
			if err != nil {
				t.Fatalf("accepted, and New refuses: %v", err)
			}
			if err := g.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}
