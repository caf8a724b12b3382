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

	"github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/clients/cassandra/policyfile"
	"github.com/backstay-go/backstay/internal/cqltest"
	"github.com/backstay-go/backstay/resilience"
	guards "github.com/backstay-go/backstay/resilience/policyfile"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const good = `guards:
  catalog:
    bulkhead: {limit: 8}
    default: {timeout: 1s}
x-cassandra:
  licenses:
    default_profile: show
    guard: {bulkhead: {limit: 32, queue: 16}, breaker: {}}
    failover: {data_center: dc2}
    profiles:
      append:
        timeout: 2s
        criticality: critical_plus
        consistency: LOCAL_QUORUM
        serial_consistency: LOCAL_SERIAL
      show:
        timeout: 300ms
        idempotent: true
        hedge: {delay: 20ms}
        retry: {max_attempts: 2}
        consistency: LOCAL_QUORUM
        degraded: LOCAL_ONE
        page_size: 50
        failover: true
`

func TestProfilesComeFromThePolicyFile(t *testing.T) {
	policies, _, err := policyfile.Parse("p.yaml", []byte(good))
	if err != nil {
		t.Fatal(err)
	}
	p := policies["licenses"]
	show, add := p.Profiles["show"], p.Profiles["append"]
	switch {
	case p.DefaultProfile != "show", p.Guard.Bulkhead.Queue != 16, p.Failover == nil, p.Failover.DataCenter != "dc2":
		t.Errorf("policy %+v", p)
	case show.Timeout != 300*time.Millisecond, !show.Idempotent, show.Hedge.Delay != 20*time.Millisecond, show.Retry.MaxAttempts != 2,
		show.Consistency != cassandra.LocalQuorum, show.Degraded != cassandra.LocalOne, show.PageSize != 50, !show.Failover:
		t.Errorf("show %+v", show)
	case add.SerialConsistency != cassandra.LocalSerial, add.Criticality != resilience.CriticalPlus:
		t.Errorf("append %+v", add)
	}
	// It is the same file as that of the other guards.
	if _, _, err := guards.Parse("p.yaml", []byte(good)); err != nil {
		t.Errorf("the other guards' reader: %v", err)
	}
}

func TestBadFilesSayWhere(t *testing.T) {
	for _, c := range []struct{ name, old, new, says string }{
		{"no section", "x-cassandra:", "x-other:", "p.yaml:1:1: error: x-cassandra: is missing; name at least one session below it"},
		{"a misspelt section", "x-cassandra:", "x-casandra:", "p.yaml:1:1: error: x-cassandra: is missing; there is x-casandra"},
		{"unknown field", "page_size: 50", "pagesize: 50", "p.yaml:23:9: error: x-cassandra.licenses.profiles.show.pagesize: is not known; did you mean \"page_size\"?"},
		{"unknown field of the operation", "idempotent: true", "idempotant: true", "p.yaml:18:9: error: x-cassandra.licenses.profiles.show.idempotant: is not known; did you mean \"idempotent\"?"},
		{"unknown level", "degraded: LOCAL_ONE", "degraded: NEAR", `p.yaml:22:19: error: x-cassandra.licenses.profiles.show.degraded: is "NEAR"; give one of ONE, TWO, THREE, QUORUM`},
		{"a misspelt level", "degraded: LOCAL_ONE", "degraded: local_on", "did you mean \"LOCAL_ONE\"?"},
		{"a number for a duration", "timeout: 300ms", "timeout: soon", `p.yaml:17:18: error: x-cassandra.licenses.profiles.show.timeout: is "soon"; give a duration with its unit`},
		{"no stronger", "degraded: LOCAL_ONE", "degraded: ALL", "p.yaml:22:9: error: x-cassandra.licenses.profiles.show.degraded: is ALL; it is no weaker than LOCAL_QUORUM"},
		{"both serial levels", "degraded: LOCAL_ONE", "serial_consistency: SERIAL", "do not see each other's writes"},
		{"LOCAL_SERIAL with QUORUM", "consistency: LOCAL_QUORUM\n        serial_consistency", "consistency: QUORUM\n        serial_consistency", "p.yaml:15:9: error: x-cassandra.licenses.profiles.append.serial_consistency: is LOCAL_SERIAL; "},
		{"no such default", "default_profile: show", "default_profile: display", `p.yaml:7:5: error: x-cassandra.licenses.default_profile: is "display"; there is no such profile; there are: append, show`},
		{"fail-over without a place", "    failover: {data_center: dc2}\n", "", "p.yaml:23:9: error: x-cassandra.licenses.profiles.show.failover: is true; Failover names no data centre"},
		{"no timeout", "        timeout: 2s\n", "", "p.yaml:11:7: error: x-cassandra.licenses.profiles.append.timeout: is 0"},
		{"a guard that can't be", "queue: 16", "queue: -1", "p.yaml:8:35: error: x-cassandra.licenses.guard.bulkhead.queue: is -1"},
		{"operations of the guard", "queue: 16}", "queue: 16}, operations: {a: {timeout: 1s}}", "p.yaml:8:47: error: x-cassandra.licenses.guard.operations: is set; leave it empty"},
		{"not YAML", "guards:", "guards: [", "p.yaml:"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(good, c.old, c.new, 1)
			if text == good {
				t.Fatal("the test changes nothing")
			}
			policies, _, err := policyfile.Parse("p.yaml", []byte(text))
			if policies != nil || !errors.Is(err, policyfile.ErrFile) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, %v; want it to say %q", policies, err, c.says)
			}
		})
	}
	if _, _, err := policyfile.Load(filepath.Join(t.TempDir(), "none.yaml")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte("x-cassandra: {a: {profiles: {b: {timeout: 1s, consistency: ONE}}}}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		policies, _, err := policyfile.Parse("f", text)
		if (err == nil) == (len(policies) == 0) || err != nil && !errors.Is(err, policyfile.ErrFile) {
			t.Errorf("%v, %v", policies, err)
		}
	})
}

// TestASessionFollowsItsFile: one reader and one watcher for guards and sessions.
func TestASessionFollowsItsFile(t *testing.T) {
	cluster := cqltest.Start(t, cqltest.Config{Nodes: 2, DCs: []string{"dc1", "dc2"}})
	const read = "SELECT v FROM t"
	cluster.On(read, cqltest.Statement{Columns: []cqltest.Column{{Name: "v", Type: cqltest.Text}}, Answer: func(r *cqltest.Request) { r.Rows([]any{"x"}) }})
	file := filepath.Join(t.TempDir(), "p.yaml")
	write := func(text string) {
		t.Helper()
		if err := errors.Join(os.WriteFile(file+".new", []byte(text), 0o644), os.Rename(file+".new", file)); err != nil {
			t.Fatal(err)
		}
	}
	text := strings.ReplaceAll(good, "300ms", "4s")
	write(text)
	var sessions policyfile.Sessions
	set, err := guards.Open(file, guards.Config{Sections: []guards.Part{sessions.Section()}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := set.Close(); err != nil {
			t.Error(err)
		}
	}()
	if _, err := sessions.Policy("billing"); !errors.Is(err, policyfile.ErrFile) || !strings.Contains(err.Error(), "there are licenses") {
		t.Errorf("no such session: %v", err)
	}
	p, err := sessions.Policy("licenses")
	if err != nil {
		t.Fatal(err)
	}
	cfg := cassandra.Config{Hosts: cluster.Hosts(), Port: cluster.Port(), LocalDC: "dc1"}
	p.Apply(&cfg)
	cfg.Options = []resilience.Option{resilience.WithError("not_found", cassandra.ErrInvalid)}
	s, err := cassandra.Connect(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := sessions.Follow("licenses", s); err != nil {
		t.Fatal(err)
	}
	level := func() cassandra.Consistency {
		t.Helper()
		var v string
		q := s.Query(read)
		if err := q.Scan(&v); err != nil {
			t.Fatal(err)
		}
		return q.Info().Consistency
	}
	limit := func() int {
		g, err := set.Guard("catalog")
		if err != nil {
			t.Fatal(err)
		}
		return g.Snapshot().Limit
	}
	if name := s.Guard().Snapshot().Dependency; name != "licenses" || level() != cassandra.LocalQuorum {
		t.Errorf("the guard is called %q, and the level is %v", name, level())
	}
	two := strings.NewReplacer("breaker: {}", "breaker: {}, errors: {ignored: [not_found]}", "consistency: LOCAL_QUORUM\n        degraded", "consistency: TWO\n        degraded", "limit: 8", "limit: 9").Replace(text)
	write(two)
	if _, err := set.Reload(); err != nil || level() != cassandra.Two || limit() != 9 {
		t.Errorf("%v; level %v, limit %d", err, level(), limit())
	}
	// A mistake in one section changes nothing in the other, whichever it is.
	for name, c := range map[string]struct{ old, new, says string }{
		"of a guard":              {"timeout: 1s}", "timout: 1s}", `guards.catalog.default.timout: is not known; did you mean "timeout"?`},
		"of a session":            {"idempotent: true", "idempotant: true", `x-cassandra.licenses.profiles.show.idempotant: is not known; did you mean "idempotent"?`},
		"a profile that is gone":  {"      append:", "      apend:", "x-cassandra.licenses.profiles.append: is in use and missing from the file"},
		"a session that is gone":  {"  licenses:", "  licences:", "x-cassandra.licenses: is in use and missing from the file"},
		"an error without a name": {"[not_found]", "[lost]", `x-cassandra.licenses.guard.errors.ignored: has "lost", which names no error of this guard; there are: not_found`},
		"another data centre":     {"dc2", "dc3", "x-cassandra.licenses.failover: can't be changed while the session runs"},
		"another default":         {"default_profile: show", "default_profile: append", "x-cassandra.licenses.default_profile: can't be changed"},
		"a timeout of the driver": {"timeout: 2s", "timeout: 20s", "which can't be changed; make a new session for it"},
		"no sections any more":    {"x-cassandra:", "x-others:", "x-cassandra: is missing"},
	} {
		bad := strings.NewReplacer("TWO", "ONE", "limit: 9", "limit: 10", c.old, c.new).Replace(two)
		write(bad)
		if _, err := set.Reload(); !errors.Is(err, policyfile.ErrFile) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
		if level() != cassandra.Two || limit() != 9 {
			t.Errorf("%s: level %v, limit %d", name, level(), limit())
		}
	}
	write(text)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	err = set.Watch(ctx, func(_ []guards.Problem, err error) {
		if err == nil && level() == cassandra.LocalQuorum {
			stop()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	write(two)
	if _, err := set.Reload(); err != nil || limit() != 9 {
		t.Errorf("after the session was closed: %v", err)
	}
}

func TestVariablesOverrideProfiles(t *testing.T) {
	policies, _, err := policyfile.Parse("p.yaml", []byte(good),
		"BACKSTAY_CASSANDRA_LICENSES_PROFILES_SHOW_DEGRADED=ONE", "BACKSTAY_CASSANDRA_LICENSES_PROFILES_SHOW_TIMEOUT=1s",
		"BACKSTAY_CASSANDRA_LICENSES_PROFILES_SHOW_STALE_MAX_AGE=1m", "BACKSTAY_CASSANDRA_LICENSES_GUARD_BULKHEAD_LIMIT=7",
		"BACKSTAY_CASSANDRA_LICENSES_FAILOVER_DATA_CENTER=dc3", "BACKSTAY_POLICY_CATALOG_BREAKER_MODE=open", "HOME=/")
	if err != nil {
		t.Fatal(err)
	}
	p := policies["licenses"]
	if show := p.Profiles["show"]; show.Degraded != cassandra.One || show.Timeout != time.Second || show.Stale.MaxAge != time.Minute || show.PageSize != 50 ||
		p.Guard.Bulkhead.Limit != 7 || p.Failover.DataCenter != "dc3" || p.Profiles["append"].Timeout != 2*time.Second {
		t.Errorf("%+v", p)
	}
	for variable, says := range map[string]string{
		"BACKSTAY_CASSANDRA_LICENSES_PROFILES_SHOW_DEGRADET=ONE":      "environment: error: BACKSTAY_CASSANDRA_LICENSES_PROFILES_SHOW_DEGRADET: names no field of the file's x-cassandra; did you mean \"BACKSTAY_CASSANDRA_LICENSES_PROFILES_SHOW_DEGRADED\"?",
		"BACKSTAY_CASSANDRA_LICENSES_PROFILES_SHOW_DEGRADED=LOCAL_ON": `x-cassandra.licenses.profiles.show.degraded: is "LOCAL_ON"; did you mean "LOCAL_ONE", or unset the variable`,
		"BACKSTAY_CASSANDRA_LICENSES_PROFILES_SHOW_DEGRADED=ALL":      "environment: error: BACKSTAY_CASSANDRA_LICENSES_PROFILES_SHOW_DEGRADED: x-cassandra.licenses.profiles.show.degraded: is ALL; it is no weaker",
	} {
		if _, _, err := policyfile.Parse("p.yaml", []byte(good), variable); !errors.Is(err, policyfile.ErrFile) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v; want it to say %q", variable, err, says)
		}
	}
}

// TestDoubtsAreWarnings: what runs, but not as its author may think.
func TestDoubtsAreWarnings(t *testing.T) {
	text := strings.Replace(good, "retry: {max_attempts: 2}", "attempt_timeout: 200ms\n        retry: {max_attempts: 3}", 1)
	policies, findings, err := policyfile.Parse("p.yaml", []byte(text))
	if err != nil || len(policies) != 1 || len(findings) == 0 || !strings.Contains(findings[0].String(), "p.yaml:20:9: warning: x-cassandra.licenses.profiles.show.attempt_timeout: is 200ms") {
		t.Errorf("%v, %v", findings, err)
	}
}

// TestTheDocumentedFileIsGood, and nothing is doubtful about it.
func TestTheDocumentedFileIsGood(t *testing.T) {
	page, err := os.ReadFile("../../../docs/reference/policy-file.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, part := range strings.Split(string(page), "```yaml\n")[1:] {
		text, _, _ := strings.Cut(part, "```\n")
		if !strings.Contains(text, "x-cassandra:") {
			continue
		}
		seen++
		if policies, findings, err := policyfile.Parse("policy-file.md", []byte(text)); err != nil || len(findings) > 0 || len(policies) != 1 {
			t.Errorf("%s\n%v %v", text, findings, err)
		}
	}
	if seen == 0 {
		t.Error("the page has no sessions")
	}
}
