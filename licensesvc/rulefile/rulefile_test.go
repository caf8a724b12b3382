package rulefile_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/backstay-go/backstay/internal/goldentest"
	"github.com/backstay-go/backstay/internal/strictyaml"
	"github.com/backstay-go/backstay/licensesvc/rulefile"
)

// rules returns a file with one version that has the given rules.
func rules(lines ...string) string {
	return "versions:\n  - version: v1\n    rules:\n      - " + strings.Join(lines, "\n      - ") + "\n"
}

// TestEveryProblemIsNamed with its place. testdata/problems.txt has what is said.
func TestEveryProblemIsNamed(t *testing.T) {
	for _, tt := range []struct{ name, text string }{
		{"empty", ""},
		{"no versions", "versions: []\n"},
		{"no rules", "versions: [{version: a}]\n"},
		{"unknown fields", rules("{name: a, device: 1}", "{name: b, devices: 1, when: {plan: [basic]}}")},
		{"nothing said", rules("{name: a}")},
		{"names", rules("{devices: 1}", "{name: b, devices: 1, when: {plans: [x]}}", "{name: b, devices: 1, when: {plans: [y]}}")},
		{"numbers", rules("{name: a, devices: -1, licenses: 0, device_downloads: 0, downloads_per_month: 0, title_renewals_per_year: 61}")},
		{"durations", rules("{name: a, license: 30, playback: 0s, notice: -1h}")},
		{"dates", rules("{name: a, devices: 1, from: tomorrow, until: 2027-02-30}", "{name: b, licenses: 2, from: 2027-01-02, until: 2027-01-01}")},
		{"selectors", rules("{name: a, devices: 1, when: {countries: [de, DE, DE], device_kinds: [Phone], plans: ['']}}")},
		{"leaves for all", rules("{name: a, leaves: 2027-01-01}")},
		{"contradiction", rules("{name: a, devices: 1, when: {plans: [basic, standard]}}", "{name: b, devices: 2, when: {plans: [standard]}}")},
		{"overlap", rules("{name: a, devices: 1, when: {plans: [basic, standard]}}", "{name: b, devices: 1, when: {plans: [standard]}}")},
		{"contradiction in time", rules("{name: a, playback: 48h, until: 2027-02-01}", "{name: b, playback: 24h, from: 2027-01-01}")},
		{"versions", "versions:\n  - {version: a, from: 2027-01-01, rules: [{name: r, devices: 1}]}\n  - {version: a, from: 2026-01-01, provisional: -1s, rules: [{name: r, devices: 1}]}\n  - {version: c, rules: [{name: r, devices: 1}]}\n"},
		{"order of versions", "versions:\n  - {version: a, rules: [{name: r, devices: 1}]}\n  - {version: b, from: 2027-01-01, rules: [{name: r, devices: 1}]}\n  - {version: c, from: 2026-12-01, rules: [{name: r, devices: 1}]}\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := rulefile.Parse("rules.yaml", []byte(tt.text))
			var bad *strictyaml.Error
			if !errors.Is(err, rulefile.ErrFile) || !errors.As(err, &bad) {
				t.Fatalf("%v is no error of a rule file", err)
			}
			goldentest.Equal(t, "testdata/"+strings.ReplaceAll(tt.name, " ", "_")+".txt", tt.text+"\n"+err.Error()+"\n")
		})
	}
}

// TestWhatDoesNotMeetIsNoContradiction: other values, other times, other specificity.
func TestWhatDoesNotMeetIsNoContradiction(t *testing.T) {
	for _, text := range []string{
		rules("{name: a, devices: 1, when: {plans: [basic]}}", "{name: b, devices: 2, when: {plans: [standard]}}"),
		rules("{name: a, devices: 1, until: 2027-01-01}", "{name: b, devices: 2, from: 2027-01-01}"),
		rules("{name: a, devices: 1, when: {plans: [basic]}}", "{name: b, devices: 2, when: {device_kinds: [tv]}}"),
		rules("{name: a, devices: 1}", "{name: b, licenses: 2}"),
	} {
		if _, err := rulefile.Parse("rules.yaml", []byte(text)); err != nil {
			t.Errorf("%s\n%v", text, err)
		}
	}
}

// TestTheSchemaIsCurrent: UPDATE_GOLDEN=1 writes it again.
func TestTheSchemaIsCurrent(t *testing.T) {
	goldentest.Equal(t, "../../docs/reference/rules.schema.json", string(rulefile.Schema()))
}

// TestReference holds the page about the file against the types that read it.
func TestReference(t *testing.T) {
	const file, mark = "../../docs/reference/rule-file.md", "go test ./licensesvc/rulefile -run TestReference. -->\n"
	var b strings.Builder
	for _, part := range []struct {
		title string
		of    any
	}{{"The file", rulefile.File{}}, {"versions", rulefile.Version{}}, {"versions.rules", rulefile.Rule{}}, {"versions.rules.when", rulefile.When{}}} {
		fmt.Fprintf(&b, "\n## %s\n| field | what |\n|-|-|\n", part.title)
		for _, f := range strictyaml.FieldsOf(reflect.TypeOf(part.of)) {
			fmt.Fprintf(&b, "| `%s` | %s |\n", f.Name, f.Doc)
		}
	}
	goldentest.Tail(t, file, mark, b.String())
}
