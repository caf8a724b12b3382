package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const good = `guards:
  membership:
    bulkhead: {limit: 64, queue: 64, maxWait: 100ms}
    breaker: {failureRate: 0.5, minimumCalls: 20}
    budget: {ratio: 0.2, burst: 10}
    default: {timeout: 500ms}
    operations:
      plan: {timeout: 500ms, attemptTimeout: 200ms, idempotent: true, retry: {maxAttempts: 2}, stale: {maxAge: 15m}}
`

func TestCommands(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ok := file("good.yaml", good)
	bad := file("bad.yaml", strings.Replace(good, "limit: 64", "limit: 0", 1))
	typo := file("typo.yaml", strings.Replace(good, "queue:", "que:", 1))
	for _, c := range []struct {
		name string
		args []string
		want int
		says []string
	}{
		{"good", []string{"check", ok}, 0, nil},
		{"bad", []string{"check", ok, bad}, 1, []string{bad + ":3: error: guards.membership.bulkhead.limit"}},
		{"typo", []string{"check", typo}, 1, []string{typo, "que"}},
		{"missing", []string{"check", filepath.Join(dir, "none.yaml")}, 1, []string{"none.yaml"}},
		{"no file", []string{"check"}, 2, []string{"--help"}},
		{"unknown", []string{"mend"}, 2, []string{"mend"}},
		{"explain", []string{"explain", ok}, 0, []string{"At most 64 calls run at once, and 64 wait", "opens when, of at least 20 calls", "1,000 calls make at most 1210 attempts",
			"plan: the caller waits at most 500ms", "at most 2 attempts", "stands in for 15m0s"}},
		{"explain a bad one", []string{"explain", bad}, 1, []string{"limit"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			if got := run(c.args, &out, &out); got != c.want {
				t.Errorf("status %d, want %d", got, c.want)
			}
			for _, says := range c.says {
				if !strings.Contains(out.String(), says) {
					t.Errorf("%q is not in\n%s", says, out.String())
				}
			}
		})
	}
}
