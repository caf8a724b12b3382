package policyfile_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/backstay-go/backstay/resilience"
	"github.com/backstay-go/backstay/resilience/policyfile"
)

// file writes a policy file into a new folder, and returns how to write it again.
func file(t testing.TB, text string) (path string, write func(string)) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "policies.yaml")
	write = func(text string) {
		t.Helper()
		if err := errors.Join(os.WriteFile(path+".new", []byte(text), 0o600), os.Rename(path+".new", path)); err != nil {
			t.Fatal(err)
		}
	}
	write(text)
	return path, write
}

func open(t testing.TB, path string, config policyfile.Config) *policyfile.Set {
	t.Helper()
	set, err := policyfile.Open(path, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := set.Close(); err != nil {
			t.Error(err)
		}
	})
	return set
}

// listener is a function that listens.
type listener func(context.Context, resilience.Event) context.Context

func (l listener) Handle(ctx context.Context, e resilience.Event) context.Context { return l(ctx, e) }

func limitOf(t testing.TB, set *policyfile.Set, name string) int {
	t.Helper()
	g, err := set.Guard(name)
	if err != nil {
		t.Fatal(err)
	}
	return g.Snapshot().Limit
}

// TestEveryMethodMayBeCalledFromAListener, of the set whose reload the listener hears.
func TestEveryMethodMayBeCalledFromAListener(t *testing.T) {
	path, write := file(t, limited(8))
	var set atomic.Pointer[policyfile.Set]
	var reported atomic.Int64
	hears := listener(func(ctx context.Context, e resilience.Event) context.Context {
		s := set.Load()
		if e.Kind != resilience.PolicyUpdated || s == nil || reported.Add(1) != 1 {
			return ctx
		}
		if _, err := s.Guard("catalog"); err != nil || len(s.Guards()) != 2 || s.Warnings() != nil {
			t.Errorf("%v", err)
		}
		write(limited(10)) // newer than what is being put in force
		if _, err := s.Reload(); err != nil {
			t.Error(err)
		}
		return ctx
	})
	s := open(t, path, policyfile.Config{Options: func(string) []resilience.Option { return []resilience.Option{resilience.WithListener(hears)} }})
	set.Store(s)
	write(limited(9))
	if _, err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	if got := limitOf(t, s, "catalog"); got != 10 || reported.Load() < 2 {
		t.Errorf("limit %d after %d events, want what was written last", got, reported.Load())
	}
	reported.Store(0)
	closing := make(chan error, 1)
	set.Store(nil)
	closer := listener(func(ctx context.Context, e resilience.Event) context.Context {
		if e.Kind == resilience.PolicyUpdated {
			select {
			case closing <- s.Close():
			default:
			}
		}
		return ctx
	})
	s = open(t, path, policyfile.Config{Options: func(string) []resilience.Option { return []resilience.Option{resilience.WithListener(closer)} }})
	write(limited(11))
	if _, err := s.Reload(); err != nil {
		t.Errorf("a reload that a listener closed: %v", err)
	}
	if err := <-closing; err != nil {
		t.Error(err)
	}
	if _, err := s.Reload(); !errors.Is(err, resilience.ErrClosed) {
		t.Errorf("a closed set: %v", err)
	}
}

// TestWhatIsInUseStays: a file that drops or renames a guard or an operation changes nothing.
func TestWhatIsInUseStays(t *testing.T) {
	path, write := file(t, good)
	set := open(t, path, policyfile.Config{})
	g, err := set.Guard("membership")
	if err != nil {
		t.Fatal(err)
	}
	plan := g.Operation("plan")
	for name, c := range map[string]struct{ old, new, says string }{
		"an operation that is misspelt": {"      plan:", "      paln:", "policies.yaml:6:5: error: guards.membership.operations.plan: is in use and missing from the file; put it back, or restart"},
		"a guard that is misspelt":      {"  membership:", "  memberships:", "policies.yaml:1:1: error: guards.membership: is in use and missing from the file"},
	} {
		write(strings.NewReplacer(c.old, c.new, "limit: 64", "limit: 63").Replace(good))
		if _, err := set.Reload(); !errors.Is(err, policyfile.ErrFile) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
		if got := limitOf(t, set, "membership"); got != 64 {
			t.Errorf("%s: the limit is %d", name, got)
		}
		if _, err := resilience.Do(t.Context(), plan, func(context.Context) (int, error) { return 1, nil }); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	write(strings.Replace(good, "      plan:", "      another: {timeout: 1s}\n      plan:", 1))
	if _, err := set.Reload(); err != nil {
		t.Errorf("an operation more: %v", err)
	}
}

// TestTheNewestContentWins, whatever reloads at the same time: once all have returned, what was
// written last is in force.
func TestTheNewestContentWins(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		path, write := file(t, limited(1))
		set := open(t, path, policyfile.Config{})
		writes := rapid.IntRange(1, 6).Draw(rt, "writes")
		reloads := rapid.IntRange(1, 4).Draw(rt, "reloads")
		bad := rapid.IntRange(0, writes-1).Draw(rt, "bad")
		var all sync.WaitGroup
		last := 1
		for i := range writes {
			if i == bad && i > 0 {
				write(limited(-1))
			} else {
				last = i + 2
				write(limited(last))
			}
			for range reloads {
				all.Go(func() {
					if _, err := set.Reload(); err != nil && !errors.Is(err, policyfile.ErrFile) {
						rt.Error(err)
					}
				})
			}
		}
		all.Wait()
		if _, err := set.Reload(); err != nil && bad != writes-1 {
			rt.Error(err)
		}
		if got := limitOf(t, set, "catalog"); got > last || bad != writes-1 && got != last {
			rt.Errorf("limit %d, want %d", got, last)
		}
	})
}

// TestAnOlderContentNeverWins: a reload that was held up between reading and taking comes too late.
func TestAnOlderContentNeverWins(t *testing.T) {
	path, write := file(t, limited(1))
	held, release := make(chan struct{}), make(chan struct{})
	set := open(t, path, policyfile.Config{Check: func(p policyfile.Policies) []policyfile.Problem {
		if p["catalog"].Bulkhead.Limit == 2 {
			close(held)
			<-release
		}
		return nil
	}})
	write(limited(2))
	older := make(chan error)
	go func() { _, err := set.Reload(); older <- err }()
	<-held
	write(limited(3))
	if _, err := set.Reload(); err != nil {
		t.Fatal(err)
	}
	close(release)
	if err := <-older; err != nil {
		t.Error(err)
	}
	if got := limitOf(t, set, "catalog"); got != 3 {
		t.Errorf("limit %d, want 3", got)
	}
}

// TestAClosedGuardIsLeftAlone: the others are updated, and nothing is an error.
func TestAClosedGuardIsLeftAlone(t *testing.T) {
	path, write := file(t, limited(8))
	set := open(t, path, policyfile.Config{})
	g, err := set.Guard("membership")
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	write(limited(9))
	if _, err := set.Reload(); err != nil || limitOf(t, set, "catalog") != 9 {
		t.Errorf("%v", err)
	}
}

// TestWarningsAreHandedOut by all that read a file.
func TestWarningsAreHandedOut(t *testing.T) {
	doubtful := limited(8) + "  keys: {bulkhead: {limit: 1, max_wait: 1s}, default: {timeout: 1s}}\n"
	path, write := file(t, doubtful)
	set := open(t, path, policyfile.Config{})
	const says = "policies.yaml:16:31: warning: guards.keys.bulkhead.max_wait: is 1s, and bulkhead.queue is 0"
	if w := set.Warnings(); len(w) != 1 || !strings.Contains(w[0].String(), says) {
		t.Errorf("Open: %v", w)
	}
	write(doubtful + "# changed\n")
	if w, err := set.Reload(); err != nil || len(w) != 1 || !strings.Contains(w[0].String(), says) {
		t.Errorf("Reload: %v, %v", w, err)
	}
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	write(doubtful + "# changed again\n")
	if err := set.Watch(ctx, func(w []policyfile.Problem, err error) {
		if err != nil || len(w) != 1 || !strings.Contains(w[0].String(), says) {
			t.Errorf("Watch: %v, %v", w, err)
		}
		stop()
	}); !errors.Is(err, context.Canceled) {
		t.Errorf("Watch ended by %v", err)
	}
}

// keeper is something of a program that has a policy.
type keeper struct {
	limit   int
	refuses error
}

func (k *keeper) Update(p resilience.Policy) error {
	k.limit = p.Bulkhead.Limit
	return nil
}

func (k *keeper) CheckUpdate(resilience.Policy) error { return k.refuses }

// TestAProgramsOwn guards, checks and options.
func TestAProgramsOwn(t *testing.T) {
	path, write := file(t, limited(8))
	own, err := resilience.New(resilience.Policy{Name: "catalog", Bulkhead: resilience.BulkheadPolicy{Limit: 1}, Default: resilience.OperationPolicy{Timeout: time.Second}})
	if err != nil {
		t.Fatal(err)
	}
	k := &keeper{}
	var made []string
	set := open(t, path, policyfile.Config{
		Own: map[string]policyfile.Updater{"catalog": own, "membership": k, "absent": k},
		Options: func(guard string) []resilience.Option {
			made = append(made, guard)
			return nil
		},
		Check: func(p policyfile.Policies) []policyfile.Problem {
			if p["catalog"].Default.Timeout > time.Second {
				return []policyfile.Problem{{Field: "guards.catalog.default.timeout", Message: "is too long for a page"}}
			}
			return nil
		},
	})
	if own.Snapshot().Limit != 8 || k.limit != 64 || made != nil || len(set.Guards()) != 1 {
		t.Errorf("limits %d and %d; made %v", own.Snapshot().Limit, k.limit, made)
	}
	write(strings.Replace(limited(9), "default: {timeout: 1s}", "default: {timeout: 2s}", 1))
	if _, err := set.Reload(); err == nil || !strings.Contains(err.Error(), "policies.yaml:15:15: error: guards.catalog.default.timeout: is too long for a page") {
		t.Errorf("what the program checks: %v", err)
	}
	write(limited(9))
	k.refuses = errors.New("not now")
	if _, err := set.Reload(); err == nil || !strings.Contains(err.Error(), "guards.membership: can't be put in force: not now") || own.Snapshot().Limit != 8 {
		t.Errorf("what the program's own refuses: %v; limit %d", err, own.Snapshot().Limit)
	}
	k.refuses = nil
	write(limited(9) + "  keys: {bulkhead: {limit: 1}, default: {timeout: 1s}}\n")
	if _, err := set.Reload(); err != nil || own.Snapshot().Limit != 9 || fmt.Sprint(made) != "[keys]" {
		t.Errorf("%v; limit %d, made %v", err, own.Snapshot().Limit, made)
	}
	if err := set.Close(); err != nil {
		t.Error(err)
	}
	if _, err := resilience.Do(t.Context(), own, func(context.Context) (int, error) { return 1, nil }); err != nil {
		t.Errorf("the set closed a guard that it did not make: %v", err)
	}
	if err := own.Close(); err != nil {
		t.Error(err)
	}
}

// TestWrittenZeros mean none where there can be none, in files and in variables. Where zero stands
// for a default, that is said.
func TestWrittenZeros(t *testing.T) {
	text := "guards:\n  a:\n    bulkhead: {limit: 8, queue: 0}\n    breaker: {minimum_calls: 1, jitter: 0, slow_call: 0s}\n    budget: {ratio: 0, burst: 0}\n" +
		"    default: {timeout: 1s, idempotent: true, attempt_timeout: 100ms, hedge: {delay: 5ms}, retry: {max_attempts: 0, base_delay: 0s}}\n"
	policies, found, err := policyfile.Parse("p.yaml", []byte(text), "BACKSTAY_POLICY_A_BREAKER_PROBES=0", "BACKSTAY_POLICY_A_DEFAULT_HEDGE_MAX_HEDGES=0")
	if err != nil {
		t.Fatal(err)
	}
	a := policies["a"]
	if a.Breaker.Jitter >= 0 || a.Budget.Ratio >= 0 || a.Budget.Burst >= 0 || a.Default.Retry.BaseDelay >= 0 || a.Default.Hedge.MaxHedges >= 0 || a.Bulkhead.Queue != 0 {
		t.Errorf("a zero that is written does not mean none: %+v", a)
	}
	var all []string
	for _, p := range found {
		all = append(all, p.String())
	}
	slices.Sort(all)
	want := []string{
		"environment: warning: BACKSTAY_POLICY_A_BREAKER_PROBES: guards.a.breaker.probes: is 0, which stands for the default, 5; leave it out, or give the number that is meant",
		"p.yaml:6:99: warning: guards.a.default.retry.max_attempts: is 0, which stands for the default, 3; leave it out, or give the number that is meant",
	}
	if !slices.Equal(all, want) {
		t.Errorf("have\n%s\nwant\n%s", strings.Join(all, "\n"), strings.Join(want, "\n"))
	}
	if a.WithDefaults().Budget.Burst >= 0 {
		t.Error("the budget admits repeats")
	}
}

// TestCallsAreHeldAgainstEachOther: what operations say that they call.
func TestCallsAreHeldAgainstEachOther(t *testing.T) {
	const text = `guards:
  api:
    bulkhead: {limit: 8}
    default: {timeout: 1s, calls: [membership]}
    operations:
      renew: {timeout: 2s, attempt_timeout: 800ms, calls: [membership.plan, catalog]}
  membership:
    bulkhead: {limit: 8}
    default: {timeout: 1s}
    operations:
      plan: {timeout: 900ms}
  catalog:
    bulkhead: {limit: 8}
    default: {timeout: 500ms}
`
	for name, c := range map[string]struct{ old, new, says string }{
		"an attempt that is shorter": {"", "", "p.yaml:6:28: warning: guards.api.operations.renew.attempt_timeout: is 800ms, and it calls membership.plan, which may take 900ms (guards.membership.operations.plan.timeout)"},
		"a timeout that is shorter":  {"attempt_timeout: 800ms, ", "", ""},
		"the default of a guard":     {"{timeout: 1s, calls", "{timeout: 999ms, calls", "p.yaml:4:15: warning: guards.api.default.timeout: is 999ms, and it calls membership, which may take 1s"},
		"an unknown operation":       {"membership.plan,", "membership.paln,", `p.yaml:6:60: error: guards.api.operations.renew.calls[0]: is "membership.paln", and the file has no such operation; did you mean "membership.plan"?`},
		"an unknown guard":           {"catalog]", "billing]", `calls[1]: is "billing", and the file has no such operation; write GUARD.OPERATION, or GUARD for its default`},
		"a circle":                   {"plan: {timeout: 900ms", "plan: {timeout: 900ms, calls: [api.renew]", "leads back to where it began: api.renew calls membership.plan calls api.renew"},
	} {
		_, found, err := policyfile.Parse("p.yaml", []byte(strings.Replace(text, c.old, c.new, 1)))
		var all []string
		for _, p := range found {
			all = append(all, p.String())
		}
		if said := strings.Join(all, "\n"); !strings.Contains(said, c.says) || c.says == "" && said != "" {
			t.Errorf("%s: want %q, have\n%s\n%v", name, c.says, said, err)
		}
	}
}

// TestALinkOfKubernetesStopsNothing: a Service that is called backstay-policy.
func TestALinkOfKubernetesStopsNothing(t *testing.T) {
	environ := []string{
		"BACKSTAY_POLICY_PORT=tcp://10.0.0.1:80", "BACKSTAY_POLICY_SERVICE_HOST=10.0.0.1", "BACKSTAY_POLICY_SERVICE_PORT=80", "BACKSTAY_POLICY_SERVICE_PORT_HTTP=80",
		"BACKSTAY_POLICY_PORT_80_TCP=tcp://10.0.0.1:80", "BACKSTAY_POLICY_PORT_80_TCP_PROTO=tcp", "BACKSTAY_POLICY_PORT_80_TCP_PORT=80", "BACKSTAY_POLICY_PORT_80_TCP_ADDR=10.0.0.1",
		"BACKSTAY_POLICY_CATALOG_PORT=tcp://10.0.0.1:80", "BACKSTAY_POLICY_FILE=/etc/policies.yaml",
	}
	if _, found, err := policyfile.Parse("p.yaml", []byte(good), environ...); err != nil || len(found) > 0 {
		t.Errorf("%v, %v", found, err)
	}
}

// TestAHalfWrittenFileIsWaitedFor: one that is empty, or whose last line has no end.
func TestAHalfWrittenFileIsWaitedFor(t *testing.T) {
	w := watch(t, "policies.yaml", plain(limited(8)))
	whole := limited(9)
	cut := strings.Index(whole, "  catalog:") + len("  catalog:\n    bulkhead: {limit: 9}\n    default: {timeout: 1")
	f, err := os.Create(w.file) // it is empty
	w.must(err)
	// Nothing is read within 2 s of what was written last, also on a machine that takes its time.
	waited := func() {
		t.Helper()
		written := time.Now()
		select {
		case err := <-w.reported:
			if time.Since(written) < 1900*time.Millisecond {
				t.Fatalf("half a file was read: %v", err)
			}
		case <-time.After(400 * time.Millisecond): // well above the 100 ms for which a whole file is left alone
		}
	}
	waited()
	_, err = f.WriteString(whole[:cut])
	w.must(err)
	waited()
	_, err = f.WriteString(whole[cut:])
	w.must(errors.Join(err, f.Close()))
	w.takes(9)
	w.write("policies.yaml", strings.TrimSuffix(limited(10), "\n")) // some editors leave it so: it is taken, later
	w.takes(10)
}

// TestOnlyAFileIsWatched: a pipe can't be read twice, and might never answer.
func TestOnlyAFileIsWatched(t *testing.T) {
	if _, err := policyfile.Open(t.TempDir(), policyfile.Config{}); err == nil || !strings.Contains(err.Error(), "is no regular file") {
		t.Errorf("a folder: %v", err)
	}
	if _, err := policyfile.Open(os.DevNull, policyfile.Config{}); err == nil || !strings.Contains(err.Error(), "is no regular file") {
		t.Errorf("a device: %v", err)
	}
}
