package policyfile_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/backstay-go/backstay/resilience"
	"github.com/backstay-go/backstay/resilience/policyfile"
)

// TestAFileMayNameOnlyErrorsThatTheProgramKnows: a file with another name is refused as a
// whole, with the place, before anything is changed.
func TestAFileMayNameOnlyErrorsThatTheProgramKnows(t *testing.T) {
	text := func(limit, name string) string {
		return "guards:\n" +
			"  a: {bulkhead: {limit: " + limit + "}, default: {timeout: 1s}}\n" +
			"  b:\n    bulkhead: {limit: 1}\n    default: {timeout: 1s}\n    errors:\n      ignored: [" + name + "]\n"
	}
	path, write := file(t, text("1", "not_found"))
	config := policyfile.Config{Options: func(string) []resilience.Option {
		return []resilience.Option{resilience.WithError("not_found", errors.New("not found"))}
	}}
	set := open(t, path, config)
	write(text("2", "lost"))
	_, err := set.Reload()
	if err == nil || !strings.Contains(err.Error(), "policies.yaml:7") || !strings.Contains(err.Error(), `guards.b.errors.ignored: has "lost", which names no error of this guard; there are: not_found`) {
		t.Error(err)
	}
	if n := limitOf(t, set, "a"); n != 1 {
		t.Errorf("a part of a refused file is in force: the limit is %d", n)
	}
	if _, err := policyfile.Open(path, config); !errors.Is(err, policyfile.ErrFile) || !strings.Contains(err.Error(), "policies.yaml:7") || !strings.Contains(err.Error(), "not_found") {
		t.Error(err)
	}
	added := func(name string) string {
		return text("3", "not_found") + "  c: {bulkhead: {limit: 1}, default: {timeout: 1s}, errors: {failure: [" + name + "]}}\n"
	}
	write(added("lost"))
	if _, err := set.Reload(); !errors.Is(err, policyfile.ErrFile) || !strings.Contains(err.Error(), `policies.yaml:8`) || !strings.Contains(err.Error(), `guards.c.errors.failure: has "lost"`) {
		t.Errorf("a new guard: %v", err)
	}
	if n := limitOf(t, set, "a"); n != 1 {
		t.Errorf("a part of a file with a bad new guard is in force: the limit is %d", n)
	}
	if _, err := set.Guard("c"); err == nil {
		t.Error("a guard of a refused file exists")
	}
	write(added("not_found"))
	if _, err := set.Reload(); err != nil || limitOf(t, set, "c") != 1 || limitOf(t, set, "a") != 3 {
		t.Errorf("a good new guard: %v", err)
	}
	if _, _, err := policyfile.Load(path); err != nil {
		t.Errorf("without the program nothing is known to be wrong: %v", err)
	}
}

// TestAFileKeepsStaleWhileItIsInUse: without it, calls that remember values would be refused.
func TestAFileKeepsStaleWhileItIsInUse(t *testing.T) {
	const head = "guards:\n  a:\n    bulkhead: {limit: 1}\n"
	with := "{timeout: 1s, stale: {max_age: 1h}}"
	path, write := file(t, head+"    default: "+with+"\n    operations: {plan: "+with+"}\n")
	set := open(t, path, policyfile.Config{})
	write(head + "    default: {timeout: 1s}\n    operations: {plan: {timeout: 1s}}\n")
	_, err := set.Reload()
	for _, field := range []string{"guards.a.default.stale", "guards.a.operations.plan.stale"} {
		if err == nil || !strings.Contains(err.Error(), field+": is in use and missing from the file") {
			t.Errorf("%s: %v", field, err)
		}
	}
}
