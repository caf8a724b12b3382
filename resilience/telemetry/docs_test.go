package telemetry_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/backstay-go/backstay/resilience/telemetry"
)

const page = "../../docs/reference/telemetry.md"

// TestThePageNamesAll: every metric with its attributes, every attribute of spans and
// events, and every error.type that metrics have.
func TestThePageNamesAll(t *testing.T) {
	text, err := os.ReadFile(page)
	must(t, err)
	rows := map[string]string{} // the row of a name
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "| `") {
			first, _, _ := strings.Cut(line[2:], "|")
			for _, name := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(first, -1) {
				rows[name[1]] += line
			}
		}
	}
	r := newRig(t, wordyPolicy("catalog"), sdktrace.AlwaysSample())
	takeAllWays(t, r, "down")
	for name, m := range r.metrics(t) {
		if rows[name] == "" {
			t.Errorf("%s is not in %s", name, page)
		}
		visit(m, func(set attribute.Set, _ float64) {
			for _, a := range set.ToSlice() {
				word := "`" + string(a.Key) + "`"
				switch a.Key {
				case telemetry.DependencyKey, telemetry.OperationKey:
					word = strings.TrimPrefix(string(a.Key), "backstay.")
				}
				if !strings.Contains(rows[name], word) {
					t.Errorf("%s has %s, which its row does not name", name, a.Key)
				}
			}
		})
	}
	for _, s := range r.spans.Ended() {
		keys := s.Attributes()
		for _, e := range s.Events() {
			keys = append(slices.Clone(keys), e.Attributes...)
			if rows[e.Name] == "" {
				t.Errorf("event %s is not in %s", e.Name, page)
			}
		}
		for _, a := range keys {
			if rows[string(a.Key)] == "" {
				t.Errorf("%s of %s is not in %s", a.Key, s.Name(), page)
			}
		}
	}
	for _, kind := range telemetry.ErrorKinds() {
		if rows[kind] == "" {
			t.Errorf("error.type %s is not in %s", kind, page)
		}
	}
}
