package rulefile_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/backstay-go/backstay/internal/goldentest"
	"github.com/backstay-go/backstay/licensesvc/license"
	"github.com/backstay-go/backstay/licensesvc/rulefile"
)

// TestExplain says for each field which rule answers, and why the others do not.
func TestExplain(t *testing.T) {
	rules := load(t, "example.yaml")
	var b strings.Builder
	for _, s := range []license.Subject{
		{Plan: "basic", Studio: "meridian", Title: "meridian-002", Country: "DE", DeviceKind: "tv", At: start},
		{Plan: "gold", At: start.Add(60 * day)},
		{Plan: "ads", Studio: "capstan", Title: "capstan-002", At: start},
	} {
		e := rules.Explain(s)
		fmt.Fprintf(&b, "%s, version %s\n", e.Subject, e.Version)
		for _, f := range e.Fields {
			fmt.Fprintf(&b, "%s: %q by %q: %s\n", f.Field, f.Value, f.Rule, f.Sentence)
			for _, other := range f.Instead {
				fmt.Fprintf(&b, "    %s\n", other)
			}
		}
		b.WriteByte('\n')
	}
	goldentest.Equal(t, "testdata/explain.txt", b.String())
}

// TestDiff says what differs, and nothing of what is the same.
func TestDiff(t *testing.T) {
	parse := func(text string) rulefile.Rules {
		t.Helper()
		r, err := rulefile.Parse("rules.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	from := parse("versions:\n  - version: a\n    provisional: 1h\n    rules:\n      - {name: one, devices: 1, when: {plans: [basic]}, until: 2027-01-01}\n      - {name: two, licenses: 3}\n      - {name: three, playback: 48h}\n  - {version: b, from: 2027-01-01, rules: [{name: one, devices: 2}]}\n")
	to := parse("versions:\n  - version: a\n    rules:\n      - {name: one, devices: 2, when: {plans: [basic, ads]}, from: 2026-01-01}\n      - {name: three, playback: 24h, notice: 1h30m}\n      - {name: four, leaves: 2027-01-01, when: {titles: [x]}}\n  - {version: c, from: 2027-02-01, rules: [{name: one, devices: 2}]}\n")
	var b strings.Builder
	for _, c := range rulefile.Diff(from, to) {
		fmt.Fprintf(&b, "%s, %s: %s\n", c.Version, c.Rule, c.Sentence)
	}
	goldentest.Equal(t, "testdata/diff.txt", b.String())
	for _, r := range []rulefile.Rules{from, to, load(t, "example.yaml")} {
		if changes := rulefile.Diff(r, r); len(changes) > 0 {
			t.Errorf("the same rules differ: %+v", changes)
		}
	}
}
