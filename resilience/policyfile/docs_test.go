package policyfile_test

import (
	"os"
	"strings"
	"testing"

	"github.com/backstay-go/backstay/resilience/policyfile"
)

// TestTheDocumentedFilesAreGood, and nothing is doubtful about them.
func TestTheDocumentedFilesAreGood(t *testing.T) {
	page, err := os.ReadFile("../../docs/reference/policy-file.md")
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(page), "```yaml\n")[1:]
	if len(parts) == 0 {
		t.Error("the page has no policies")
	}
	for _, part := range parts {
		text, _, _ := strings.Cut(part, "```\n")
		if _, findings, err := policyfile.Parse("policy-file.md", []byte(text)); err != nil || len(findings) > 0 {
			t.Errorf("%s\n%v %v", text, findings, err)
		}
	}
}
