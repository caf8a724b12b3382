package demo

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/load"
	"github.com/backstay-go/backstay/chaos/scenario"
	"github.com/backstay-go/backstay/internal/browsertest"
	"github.com/backstay-go/backstay/licensesvc/chaostest"
	"github.com/backstay-go/backstay/licensesvc/dashboard"
)

// TestThePageShowsFaultsAndAnswers opens the live page of the demonstration's own
// house in a real browser, injects a fault by a button, and sees it.
func TestThePageShowsFaultsAndAnswers(t *testing.T) {
	browser := browsertest.Start(t)
	s, err := SQLite()
	if err != nil {
		t.Fatal(err)
	}
	s.Faults, s.Checks, s.Expected, s.Deadline = nil, nil, nil, scenario.DefaultDeadline
	injector, err := chaos.New(s.Plan(), chaos.Config{})
	if err != nil {
		t.Fatal(err)
	}
	system, err := chaostest.Target{Faults: func(i *chaos.Injector) dashboard.Faults { return &faults{injector: i, buttons: buttonsFor("sqlite")} }}.Start(t.Context(),
		scenario.Setup{Scenario: s, Injector: injector, Dir: t.TempDir(), Out: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		injector.Stop()
		if err := system.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}()
	injector.Start()
	browser.Open(t, system.(*chaostest.System).URL()+"/dashboard/")
	for _, dependency := range []string{"event-store", "membership", "catalog", "key-service"} {
		browser.Holds(t, dependency+" is shown", `document.getElementById("dependencies").innerText.includes("`+dependency+`")`)
	}
	for n := range 40 {
		if s := system.Send(t.Context(), n); s.Means == load.Wrong {
			t.Fatalf("request %d: %+v", n, s)
		}
	}
	browser.Holds(t, "decisions are shown", `/m-000\d\d/.test(document.getElementById("recent").innerText)`)
	browser.Holds(t, "a decision about a license is shown", `document.querySelector('#recent tr[data-license^="lic-"]') !== null`)
	browser.Script(t, `document.querySelector('#recent tr[data-license^="lic-"]').click()`)
	browser.Holds(t, "a license's story is shown", `document.getElementById("story").innerText.includes("license.granted")`)
	browser.Holds(t, "there are buttons", `document.querySelectorAll("#buttons button").length >= 4`)
	browser.Script(t, `[...document.querySelectorAll("#buttons button")].find(b => b.innerText.includes("500")).click()`)
	// A member that membership was not asked about before: nothing stands in, or the
	// answer says what did.
	deadline := time.Now().Add(20 * time.Second)
	for n := 1000; ; n++ {
		if time.Now().After(deadline) {
			t.Fatal("the button's fault was not seen by any request")
		}
		if s := system.Send(t.Context(), n); s.Sources["membership"] == "stale" || s.Means == load.Refused {
			break
		}
	}
	browser.Holds(t, "the fault is on the page", `document.body.innerText.includes("500")`)
	if c := browser.Complaints(); len(c) > 0 {
		t.Errorf("the page complained: %q", c)
	}
}

// TestTheReportIsAPageOfItsOwn makes a report of a short run and opens it from the disk.
func TestTheReportIsAPageOfItsOwn(t *testing.T) {
	browser := browsertest.Start(t)
	dir := t.TempDir()
	t.Setenv("TMPDIR", t.TempDir()) // A run that did not pass keeps its data.
	var out strings.Builder
	short, err := SQLite()
	if err != nil {
		t.Fatal(err)
	}
	short.Faults, short.Checks, short.Expected, short.Load = nil, nil, nil, []scenario.Stage{{For: 2 * time.Second, PerSecond: 50}}
	err = Run(t.Context(), Config{Scenario: short, Listen: "127.0.0.1:0", Report: dir, Out: &out, Command: "go test", Getenv: func(string) string { return "" }})
	// Two seconds are not what the demonstration promises: it says so.
	if err == nil || !strings.Contains(out.String(), "the load came") {
		t.Fatalf("a run that is too short passed: %v\n%s", err, out.String())
	}
	page := filepath.Join(dir, "demo.html")
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, external := range []string{`src="http`, `href="http`, "@import"} {
		if strings.Contains(string(text), external) {
			t.Errorf("the page loads something from elsewhere: %s", external)
		}
	}
	browser.Open(t, "file://"+page)
	browser.Holds(t, "the verdict is shown", `/undecided/i.test(document.body.innerText)`)
	browser.Holds(t, "there are plots", `document.querySelectorAll("svg").length > 0`)
	if c := browser.Complaints(); len(c) > 0 {
		t.Errorf("the page complained: %q", c)
	}
}
