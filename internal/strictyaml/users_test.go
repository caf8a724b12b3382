package strictyaml_test

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/scenario"
	sessions "github.com/backstay-go/backstay/clients/cassandra/policyfile"
	"github.com/backstay-go/backstay/internal/goldentest"
	"github.com/backstay-go/backstay/internal/strictyaml"
	"github.com/backstay-go/backstay/licensesvc/api"
	"github.com/backstay-go/backstay/licensesvc/rulefile"
	"github.com/backstay-go/backstay/resilience/policyfile"
)

// user is a kind of file that people write.
type user struct {
	name string
	kind error
	good string // a file in block style; its first line begins at the left
	// A field of it, with a value that is a duration, number or text, and how it would be in camelCase.
	field, camel string
	read         func(text string) error
}

// users are all readers of what people write. Each is tried with the same mistakes.
var users = []user{
	{
		"policies", policyfile.ErrFile, "guards:\n  catalog:\n    bulkhead: {limit: 8, queue: 1, max_wait: 5ms}\n    default: {timeout: 1s}\n", "max_wait", "maxWait",
		func(text string) error { _, _, err := policyfile.Parse("f.yaml", []byte(text)); return err },
	},
	{
		"sessions", sessions.ErrFile, "x-cassandra:\n  s:\n    profiles:\n      show: {timeout: 1s, consistency: ONE, page_size: 5}\n", "page_size", "pageSize",
		func(text string) error { _, _, err := sessions.Parse("f.yaml", []byte(text)); return err },
	},
	{
		"plan", chaos.ErrPlan, "rules:\n  - when: {repeat_every: 2s, repeat_for: 1s}\n    what: {kind: hang}\n", "repeat_for", "repeatFor",
		func(text string) error { _, err := chaos.Parse("f.yaml", []byte(text)); return err },
	},
	{
		"scenario", chaos.ErrPlan, "name: x\ntarget: y\nload:\n  - {for: 9s, per_second: 5}\nchecks:\n  - {name: good, measure: good, at_least: 0.5}\n", "at_least", "atLeast",
		func(text string) error { _, err := scenario.Parse("f.yaml", []byte(text)); return err },
	},
	{
		"tokens", api.ErrTokens, "- {actor: a, sha256: " + strings.Repeat("ab", 32) + ", scopes: [licenses:read]}\n", "sha256", "SHA-256",
		func(text string) error { _, err := api.ParseTokens("f.yaml", []byte(text)); return err },
	},
	{
		"rules", rulefile.ErrFile, "versions:\n  - version: v\n    rules:\n      - {name: a, device_downloads: 3}\n", "device_downloads", "deviceDownloads",
		func(text string) error { _, err := rulefile.Parse("f.yaml", []byte(text)); return err },
	},
}

// mistakes are what everybody may do to a file, and what is said of it: in every kind of file the
// same, but for the name of the file's kind, and of the field.
var mistakes = []struct {
	name, says string
	make       func(u user) string
}{
	{"empty", "1:1: error: the NOUN is empty", func(user) string { return "" }},
	{"two documents", "a second document begins here; keep one per file", func(u user) string { return u.good + "---\n" + u.good }},
	{"not UTF-8", "1:1: error: the text is not UTF-8; save the file as UTF-8", func(u user) string { return "\xff" + u.good }},
	{"UTF-16", "the text is not UTF-8", func(u user) string { return "\xff\xfe" + strings.Join(strings.Split(u.good, ""), "\x00") }},
	{"too long", "1:1: error: the file has more than 1024 KiB", func(u user) string { return u.good + "#" + strings.Repeat("x", 1<<20) }},
	{"deep", "invalid YAML: ", func(user) string { return strings.Repeat("[", 100_000) }},
	{"deep dashes", "invalid YAML: ", func(user) string { return strings.Repeat("- ", 100_000) }},
	{"a NUL", "invalid YAML: control characters are not allowed", func(u user) string { return "\x00" + u.good }},
	{"a tab", "indent with spaces, not with tabs", func(u user) string { return "\t" + u.good }},
	{"a bracket", "invalid YAML: did not find expected", func(u user) string { return strings.Replace(u.good, "}", "", 1) }},
	{"a text", `1:1: error: the NOUN is "hello"`, func(user) string { return "hello" }},
	{"camelCase", `CAMEL: is not known; did you mean "FIELD"?`, func(u user) string { return strings.Replace(u.good, u.field, u.camel, 1) }},
	{"upper case", `is not known; did you mean "FIELD"?`, func(u user) string {
		return strings.Replace(u.good, u.field, strings.ToUpper(u.field), 1)
	}},
	{"another word", "other: is not known; known here: ", func(u user) string { return strings.Replace(u.good, u.field+":", "other: 1, "+u.field+":", 1) }},
	{"twice", "FIELD: is there twice; keep one", func(u user) string { return strings.Replace(u.good, u.field+":", u.field+": 1, "+u.field+":", 1) }},
	{"nothing given", "FIELD: is empty; give a value, or leave it out", func(u user) string {
		before, after, _ := strings.Cut(u.good, u.field+":")
		return before + u.field + ": " + after[strings.IndexAny(after, ",}"):]
	}},
	{"a list", "FIELD: is a list; give a ", func(u user) string { return strings.Replace(u.good, u.field+": ", u.field+": [1], a: ", 1) }},
	{"an unknown anchor", "invalid YAML: unknown anchor 'x' referenced; an anchor stands before what refers to it", func(u user) string { return strings.Replace(u.good, u.field+": ", u.field+": *x, a: ", 1) }},
}

// TestEveryUserAnswersAlike: the same mistake has the same answer, in the same form, in every kind
// of file. testdata/users.txt has all that is said; UPDATE_GOLDEN=1 makes it again.
func TestEveryUserAnswersAlike(t *testing.T) {
	nouns := map[string]string{"policies": "policy file", "sessions": "policy file", "plan": "plan", "scenario": "scenario", "tokens": "list of tokens", "rules": "rule file"}
	var all strings.Builder
	for _, m := range mistakes {
		for _, u := range users {
			err := u.read(m.make(u))
			var bad *strictyaml.Error
			if !errors.As(err, &bad) || !errors.Is(err, u.kind) {
				t.Errorf("%s, %s: %v is no *strictyaml.Error of its kind", m.name, u.name, err)
				continue
			}
			want := strings.NewReplacer("NOUN", nouns[u.name], "FIELD", u.field, "CAMEL", u.camel).Replace(m.says)
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s, %s: %q is not in\n%v", m.name, u.name, want, err)
			}
			for _, p := range bad.Problems {
				if p.Line < 1 || p.Column < 1 || p.File != "f.yaml" || p.Warning || len(p.String()) > 600 {
					t.Errorf("%s, %s: %+v", m.name, u.name, p)
				}
			}
			// The lists of fields are those of the day.
			said := regexp.MustCompile(`(known here|below it): .*`).ReplaceAllString(err.Error(), "$1: ...")
			fmt.Fprintf(&all, "=== %s, %s\n%s\n", m.name, u.name, said)
		}
	}
	goldentest.Equal(t, "testdata/users.txt", all.String())
}

// TestEveryUserReadsAlike: what a file may be written like.
func TestEveryUserReadsAlike(t *testing.T) {
	for _, u := range users {
		quoted := strings.Replace(u.good, u.field+":", `"`+u.field+`":`, 1)
		for name, text := range map[string]string{
			"as it is": u.good, "with a byte order mark": "\ufeff" + u.good, "with a directive": "%YAML 1.2\n---\n" + u.good, "with an end": u.good + "...\n",
			"with the lines of Windows": strings.ReplaceAll(u.good, "\n", "\r\n"), "with a quoted name": quoted, "with comments": "# é\n" + strings.ReplaceAll(u.good, "\n", " # x\n"),
			"with no last end of line": strings.TrimSuffix(u.good, "\n"),
		} {
			if err := u.read(text); err != nil {
				t.Errorf("%s, %s: %v", u.name, name, err)
			}
		}
	}
}
