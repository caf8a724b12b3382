package api_test

import (
	"os"
	"strings"
	"testing"

	"github.com/backstay-go/backstay/licensesvc/api"
)

// TestEveryKindOfProblemIsDescribed: the type of each problem is the address of a section.
func TestEveryKindOfProblemIsDescribed(t *testing.T) {
	page, err := os.ReadFile("../../docs/reference/problems.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := strings.Count(string(page), "\n## ")
	if got := len(api.Kinds()); got != sections {
		t.Errorf("%d kinds and %d sections", got, sections)
	}
	for _, k := range api.Kinds() {
		if !strings.Contains(string(page), "\n## "+string(k)+"\n") {
			t.Errorf("%s is not described", k.Type())
		}
	}
}
