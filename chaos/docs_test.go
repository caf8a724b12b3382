package chaos_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/backstay-go/backstay/chaos"
)

// blocks are the fenced texts of a language in a page.
func blocks(page, language string) (found []string) {
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```").FindAllStringSubmatch(page, -1) {
		found = append(found, m[1])
	}
	return found
}

// flush is a text without its indentation, which a page leaves out.
func flush(text string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		lines[i] = strings.TrimLeft(l, "\t")
	}
	return strings.Join(lines, "\n")
}

// TestWhatTheGuidesShowIsTrue holds what people copy: plans that parse, code that is
// compiled as an Example, and a word on each kind of the place.
func TestWhatTheGuidesShowIsTrue(t *testing.T) {
	for _, c := range []struct {
		guide, place, example string
		rules                 int
		own                   bool // the example holds the plan too
	}{
		{"inject-in-process.md", chaos.InProcess, "example_test.go", 2, true},
		{"break-http.md", chaos.HTTP, "httpfault/example_test.go", 2, true},
		{"break-tcp.md", chaos.TCP, "tcpproxy/example_test.go", 3, true},
		{"break-cql.md", chaos.CQL, "cqlproxy/example_test.go", 4, false},
		{"harm-nodes.md", chaos.Node, "cluster/example_test.go", 2, true},
	} {
		t.Run(c.guide, func(t *testing.T) {
			b, err := os.ReadFile(filepath.Join("..", "docs", "how-to", c.guide))
			if err != nil {
				t.Fatal(err)
			}
			page := string(b)
			if b, err = os.ReadFile(filepath.FromSlash(c.example)); err != nil {
				t.Fatal(err)
			}
			example := flush(string(b))
			plans, code := blocks(page, "yaml"), blocks(page, "go")
			if len(plans) != 1 || len(code) == 0 {
				t.Fatalf("%d plans, %d pieces of code", len(plans), len(code))
			}
			if p, err := chaos.Parse(c.guide, []byte(plans[0])); err != nil || len(p.Rules) != c.rules {
				t.Errorf("%d rules, %v", len(p.Rules), err)
			}
			if c.own && !strings.Contains(example, plans[0]) {
				t.Errorf("the plan is not the one of %s", c.example)
			}
			for _, text := range code {
				if !strings.Contains(example, flush(text)) {
					t.Errorf("not in %s:\n%s", c.example, text)
				}
			}
			for _, k := range chaos.Kinds() {
				if k.Kind.AppliesTo(c.place) && !strings.Contains(page, "`"+string(k.Kind)+"`") {
					t.Errorf("nothing of %s", k.Kind)
				}
			}
		})
	}
}

// TestTheComparisonNamesEachKind keeps the table of tools as long as that of kinds.
func TestTheComparisonNamesEachKind(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "docs", "explanation", "fault-tools.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range chaos.Kinds() {
		if !strings.Contains(string(page), "`"+string(k.Kind)+"`") {
			t.Errorf("nothing of %s", k.Kind)
		}
	}
	for _, line := range strings.Split(string(page), "\n") {
		if n := strings.Count(line, "|"); n != 0 && n != 4 && n != 8 {
			t.Errorf("a row with %d bars: %s", n, line)
		}
	}
}
