package service_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/backstay-go/backstay/internal/observe"
	"github.com/backstay-go/backstay/licensesvc/rulefile"
	"github.com/backstay-go/backstay/licensesvc/service"
)

// logged collects what is logged. It sends to news after each line, if somebody waits.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
	news chan struct{}
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.news <- struct{}{}:
	default:
	}
	return l.text.Write(b)
}

func (l *logged) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), text)
}

// wait waits until a text was logged.
func (l *logged) wait(t *testing.T, text string) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for !l.has(text) {
		select {
		case <-l.news:
		case <-deadline:
			t.Fatalf("not logged: %s", text)
		}
	}
}

// TestRulesAreTakenWhileTheServiceRuns: a good file is in force, a bad one changes nothing and is
// shown, and a version that is rewritten is warned of.
func TestRulesAreTakenWhileTheServiceRuns(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "rules.yaml")
	write := func(text string) { t.Helper(); must(os.WriteFile(file, []byte(text), 0o600)) }
	const first = "versions:\n  - {version: one, rules: [{name: basic, when: {plans: [basic]}, devices: 1}]}\n"
	write(first)
	rules, err := rulefile.Open(file)
	must(err)
	observed, err := observe.Start(ctx, "test", func(string) string { return "" })
	must(err)
	defer func() { must(observed.Shutdown(context.WithoutCancel(ctx))) }()
	log := &logged{news: make(chan struct{}, 1)}
	in, err := service.Start(ctx, service.Config{
		Listen: "127.0.0.1:0", Data: dir, Store: service.SQLite{Path: filepath.Join(dir, "events.db")}, Membership: "http://127.0.0.1:1", Catalog: "http://127.0.0.1:1", Keys: "http://127.0.0.1:1",
		Rules: rules, Observed: observed, Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	must(err)
	defer func() { must(in.Shutdown(context.WithoutCancel(ctx))) }()
	shown := func() service.Component {
		t.Helper()
		res, err := http.Get(in.URL() + "/readyz")
		must(err)
		defer res.Body.Close()
		var r service.Readiness
		must(json.NewDecoder(res.Body).Decode(&r))
		for _, c := range r.Components {
			if c.Name == "rules" {
				return c
			}
		}
		t.Fatal("no component rules")
		return service.Component{}
	}
	until := func(state service.State, why string) {
		t.Helper()
		deadline := time.After(30 * time.Second)
		for c := shown(); c.State != state || !strings.Contains(c.Why, why); c = shown() {
			select {
			case <-log.news:
			case <-deadline:
				t.Fatalf("%+v; want %s: %s", c, state, why)
			}
		}
	}
	until(service.StateOK, "version one of")
	write(first + "  - {version: two, from: 2020-01-01, rules: [{name: basic, devices: -1}]}\n")
	until(service.StateDegraded, "devices: is -1; give 0 or more")
	log.wait(t, "the rules stay as they are")
	if rules.Rules().Rules.Versions()[0] != "one" {
		t.Error("a bad file was taken")
	}
	write(first + "  - {version: two, from: 2020-01-01, rules: [{name: basic, devices: 2}]}\n")
	until(service.StateOK, "version two of")
	log.wait(t, `msg="the rules changed"`)
	if log.has("was changed or removed") {
		t.Error("an appended version is warned of")
	}
	write("versions:\n  - {version: one, rules: [{name: basic, when: {plans: [basic]}, devices: 3}]}\n")
	until(service.StateOK, "version one of")
	log.wait(t, "was changed or removed")
}
