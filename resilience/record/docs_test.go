package record_test

import (
	"os"
	"strings"
	"testing"

	"github.com/backstay-go/backstay/resilience/record"
)

// blocks returns the fenced blocks of a language in a page.
func blocks(t *testing.T, page, language string) []string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, part := range strings.Split(string(text), "```"+language+"\n")[1:] {
		block, _, _ := strings.Cut(part, "```\n")
		found = append(found, block)
	}
	if len(found) == 0 {
		t.Fatalf("%s has no %s", page, language)
	}
	return found
}

// TestTheDocumentedRecordIsOne: the page's record is read, and written the same.
func TestTheDocumentedRecordIsOne(t *testing.T) {
	for _, text := range blocks(t, "../../docs/reference/record.md", "record") {
		rec, err := record.ReadAll(strings.NewReader(text))
		if err != nil || len(rec.Calls) != 5 || rec.Dropped != 12 {
			t.Fatalf("%+v, %v", rec, err)
		}
		for _, c := range rec.Calls {
			if !strings.Contains(text, "\n"+record.Line(c)) {
				t.Errorf("%q is not as it is on the page", record.Line(c))
			}
		}
	}
}

// TestTheDocumentedCodeRuns: it is that of the example.
func TestTheDocumentedCodeRuns(t *testing.T) {
	example, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range blocks(t, "../../docs/how-to/replay-an-incident.md", "go") {
		if !strings.Contains(string(example), code) {
			t.Errorf("not in example_test.go:\n%s", code)
		}
	}
}
