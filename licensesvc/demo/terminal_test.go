package demo

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/backstay-go/backstay/chaos"
)

// TestALineFitsItsTerminal tries every width with the longest texts.
func TestALineFitsItsTerminal(t *testing.T) {
	for width := 20; width <= 200; width++ {
		s := stretch{at: 123 * time.Second, requests: 12345, good: 12345, p99: 12 * time.Second, width: width,
			dependencies: []string{"▲ static", "◐ static", "● static", "▲ static"}}
		if n := utf8.RuneCountInString(s.line()); n > width {
			t.Errorf("%d columns on a terminal of %d: %q", n, width, s.line())
		}
		term := &terminal{width: width, expected: map[string]string{"a": strings.Repeat("long ", 60)}}
		for line := range strings.Lines(term.changes([]string{"a"})) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > width {
				t.Errorf("%d columns on a terminal of %d: %q", n, width, line)
			}
		}
	}
	wide := stretch{at: 28 * time.Second, requests: 116, good: 71, p99: 545 * time.Millisecond, width: 80, dependencies: []string{"●", "◐ stale"}}
	if got, want := wide.line(), " 28 s    58   61 % ████░░ 545ms  ●        ◐ stale"; got != want {
		t.Errorf("%q\nwant %q", got, want)
	}
	if got := (stretch{width: 80}).line(); !strings.Contains(got, "–") {
		t.Errorf("no request has a share: %q", got)
	}
}

// TestFaultsAreAnnouncedOnce, also those that a person injects.
func TestFaultsAreAnnouncedOnce(t *testing.T) {
	rule := func(name string) chaos.Rule {
		return chaos.Rule{Name: name, Where: chaos.Where{Dependency: "d", Protocol: chaos.HTTP}, What: chaos.What{Kind: chaos.Reset}, When: chaos.When{From: time.Second, To: 3 * time.Second}}
	}
	injector, err := chaos.New(chaos.Plan{Rules: []chaos.Rule{rule("one")}}, chaos.Config{})
	if err != nil {
		t.Fatal(err)
	}
	term := &terminal{width: 80, injector: injector, expected: map[string]string{"one": "nothing works"}}
	if got := term.changes(term.open(0)); got != "" {
		t.Errorf("before: %q", got)
	}
	if got, want := term.changes(term.open(time.Second)), "      begins: one · expected: nothing works\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if err := injector.Update(chaos.Plan{Rules: []chaos.Rule{rule("one"), rule("button two")}}); err != nil {
		t.Fatal(err)
	}
	if got, want := term.changes(term.open(2*time.Second)), "      begins: button two\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := term.changes(term.open(3*time.Second)), "      ends:   button two\n      ends:   one\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
