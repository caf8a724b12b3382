package scenario_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/backstay-go/backstay/chaos/scenario"
	"github.com/backstay-go/backstay/internal/goldentest"
)

// TestReference holds the page about the file against the types that read it.
func TestReference(t *testing.T) {
	const file, mark = "../../docs/reference/scenario-file.md", "go test ./chaos/scenario -run TestReference. -->\n"
	var b strings.Builder
	for _, part := range []struct {
		title string
		of    any
	}{
		{"The file", scenario.Scenario{}}, {"load", scenario.Stage{}}, {"steady", scenario.Steady{}}, {"actions", scenario.Action{}}, {"stop", scenario.Stop{}},
		{"recovery", scenario.Recovery{}}, {"checks", scenario.Check{}}, {"http", scenario.HTTP{}}, {"http.proxies", scenario.HTTPProxy{}},
		{"http.requests", scenario.HTTPRequest{}}, {"http.answers", scenario.HTTPAnswer{}},
	} {
		fmt.Fprintf(&b, "\n## %s\n| field | what |\n|-|-|\n", part.title)
		for f := range reflect.TypeOf(part.of).Fields() {
			if tag := f.Tag.Get("yaml"); tag != "" {
				fmt.Fprintf(&b, "| `%s` | %s |\n", tag, f.Tag.Get("doc"))
			}
		}
	}
	b.WriteString("\n`faults` are rules as in a plan of faults: `go doc ./chaos Rule`.\n\n## Measures\n| measure | what |\n|-|-|\n")
	for _, m := range scenario.Measures() {
		fmt.Fprintf(&b, "| `%s` | %s |\n", m[0], m[1])
	}
	goldentest.Tail(t, file, mark, b.String())
}
