package policyfile_test

import (
	"errors"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/backstay-go/backstay/internal/goldentest"
	"github.com/backstay-go/backstay/internal/strictyaml"
	"github.com/backstay-go/backstay/resilience"
	"github.com/backstay-go/backstay/resilience/policyfile"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const good = `guards:
  membership:
    bulkhead: {limit: 64, queue: 64, max_wait: 100ms}
    breaker: {failure_rate: 0.5}
    default: {timeout: 500ms}
    operations:
      plan:
        timeout: 500ms
        attempt_timeout: 200ms
        idempotent: true
        criticality: critical
        retry: {max_attempts: 2, base_delay: 20ms}
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

// TestBadFiles compares the errors about bad files with testdata/bad.txt, which has for
// each a name, the variables (after $), the file, and the error.
func TestBadFiles(t *testing.T) {
	const golden = "testdata/bad.txt"
	text, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	var now strings.Builder
	for _, c := range strings.Split(string(text), "=== ")[1:] {
		name, rest, _ := strings.Cut(c, "\n")
		file, _, _ := strings.Cut(rest, "--- \n")
		var environ []string
		var yaml strings.Builder
		for line := range strings.Lines(file) {
			if variable, ok := strings.CutPrefix(line, "$ "); ok {
				environ = append(environ, strings.TrimSuffix(variable, "\n"))
				continue
			}
			yaml.WriteString(line)
		}
		policies, findings, err := policyfile.Parse("p.yaml", []byte(yaml.String()), environ...)
		var bad *policyfile.Error
		if !errors.As(err, &bad) || !errors.Is(err, policyfile.ErrFile) || policies != nil || len(findings) < len(bad.Problems) {
			t.Errorf("%s: was not refused: %v", name, err)
			continue
		}
		// The lists of fields are those of the day.
		have := regexp.MustCompile(`(known here|below it): .*`).ReplaceAllString(err.Error(), "$1: ...")
		now.WriteString("=== " + name + "\n" + file + "--- \n" + have + "\n")
	}
	goldentest.Equal(t, golden, now.String())
}

func TestAnchorsAndMerges(t *testing.T) {
	policies, findings, err := policyfile.Parse("p.yaml", []byte(`
x-read: &read
  timeout: 1s
  idempotent: true
guards:
  a:
    bulkhead: &small {limit: !!int 2}
    default: {<<: *read, timeout: 2s}
    operations:
      list: *read
  b:
    bulkhead: *small
    default:
      <<: [*read]
`))
	if err != nil || len(findings) > 0 {
		t.Fatal(findings, err)
	}
	a, b := policies["a"], policies["b"]
	if a.Default.Timeout != 2*time.Second || !a.Default.Idempotent || a.Operations["list"].Timeout != time.Second || b.Bulkhead.Limit != 2 || !b.Default.Idempotent {
		t.Errorf("%+v", policies)
	}
}

// TestEveryFieldCanBeRead: a file that sets every field to something that is not its
// zero value gives a policy without one.
func TestEveryFieldCanBeRead(t *testing.T) {
	policies, _, err := policyfile.Load("../cmd/backstay/testdata/every.yaml") // all at once is doubtful
	if err != nil {
		t.Fatal(err)
	}
	var zero func(string, reflect.Value)
	zero = func(path string, v reflect.Value) {
		switch {
		case v.IsZero():
			t.Errorf("%s was not read", path)
		case v.Kind() == reflect.Pointer:
			zero(path, v.Elem())
		case v.Kind() == reflect.Map:
			for _, k := range v.MapKeys() {
				zero(path+"."+k.String(), v.MapIndex(k))
			}
		case v.Kind() == reflect.Struct:
			for i := range v.NumField() {
				if f := v.Type().Field(i); f.IsExported() {
					zero(path+"."+f.Name, v.Field(i))
				}
			}
		}
	}
	zero("every", reflect.ValueOf(policies["every"]))
}

func TestOverrides(t *testing.T) {
	file := strings.Replace(good, "  catalog:\n", "  key-service:\n", 1)
	for _, c := range []struct {
		variable string
		holds    func(policyfile.Policies) bool
	}{
		{"BACKSTAY_POLICY_MEMBERSHIP_BULKHEAD_LIMIT=7", func(p policyfile.Policies) bool { return p["membership"].Bulkhead.Limit == 7 }},
		{"BACKSTAY_POLICY_MEMBERSHIP_BREAKER_MODE=open", func(p policyfile.Policies) bool {
			return p["membership"].Breaker.Mode == resilience.BreakerForcedOpen && p["membership"].Breaker.FailureRate == 0.5
		}},
		{"BACKSTAY_POLICY_KEY_SERVICE_BREAKER_MODE=open", func(p policyfile.Policies) bool { return p["key-service"].Breaker.Mode == resilience.BreakerForcedOpen }},
		{"BACKSTAY_POLICY_KEY_SERVICE_BREAKER_FAILURE_RATE=0.25", func(p policyfile.Policies) bool { return p["key-service"].Breaker.FailureRate == 0.25 }},
		{"BACKSTAY_POLICY_MEMBERSHIP_OPERATIONS_PLAN_ATTEMPT_TIMEOUT=150ms", func(p policyfile.Policies) bool {
			return p["membership"].Operations["plan"].AttemptTimeout == 150*time.Millisecond && p["membership"].Operations["plan"].Retry.MaxAttempts == 2
		}},
		{"BACKSTAY_POLICY_MEMBERSHIP_OPERATIONS_PLAN_IDEMPOTENT=true", func(p policyfile.Policies) bool { return p["membership"].Operations["plan"].Idempotent }},
		{"BACKSTAY_POLICY_KEY_SERVICE_DEFAULT_CRITICALITY=sheddable", func(p policyfile.Policies) bool {
			return p["key-service"].Default.Criticality == resilience.Sheddable
		}},
		{"BACKSTAY_POLICYX=1", func(p policyfile.Policies) bool { return len(p) == 2 }},
	} {
		policies, _, err := policyfile.Parse("p.yaml", []byte(file), "PATH=/bin", c.variable)
		if err != nil || !c.holds(policies) {
			t.Errorf("%s: %+v, %v", c.variable, policies, err)
		}
		if plain, _, _ := policyfile.Parse("p.yaml", []byte(file)); c.variable != "BACKSTAY_POLICYX=1" && reflect.DeepEqual(plain, policies) && !strings.Contains(c.variable, "IDEMPOTENT") {
			t.Errorf("%s changed nothing", c.variable)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte("guards: {a: {bulkhead: {limit: 1}, default: {timeout: 1s}}}"))
	f.Add([]byte("guards:\n  a: &x {default: *x}\n"))
	f.Add([]byte("x-a: &a {limit: 1}\nguards: {a: {<<: [*a], bulkhead: *a, default: {timeout: 1s}}}"))
	if every, err := os.ReadFile("../cmd/backstay/testdata/every.yaml"); err == nil {
		f.Add(every)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		policies, findings, err := policyfile.Parse("f.yaml", text)
		if err != nil && policies != nil {
			t.Error("an error and policies")
		}
		for _, f := range findings {
			if f.Line < 1 || f.Column < 1 || strings.Contains(f.Message, "%!") {
				t.Errorf("no place: %q", f)
			}
		}
		for _, p := range policies {
			p.Errors = nil // only a program knows the names
			g, err := resilience.New(p)
			if err != nil {
				t.Fatalf("accepted, and New refuses: %v", err)
			}
			if err := g.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if err != nil {
			return
		}
		// What was accepted means the same when it is written out.
		again := strictyaml.Encode(struct {
			Guards policyfile.Policies `yaml:"guards"`
		}{policies})
		reread, _, err := policyfile.Parse("again.yaml", []byte(again))
		if err != nil || !reflect.DeepEqual(policies, reread) {
			t.Fatalf("%v\n%s\n%+v\n%+v", err, again, policies, reread)
		}
	})
}
