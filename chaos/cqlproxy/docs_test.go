package cqlproxy_test

import (
	"os"
	"strings"
	"testing"

	"github.com/backstay-go/backstay/chaos"
)

// TestTheGuidesPlanIsOne parses what people copy.
func TestTheGuidesPlanIsOne(t *testing.T) {
	text, err := os.ReadFile("../../docs/how-to/break-cql.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```yaml\n")
	plan, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("the guide has no plan")
	}
	if p, err := chaos.Parse("break-cql.md", []byte(plan)); err != nil || len(p.Rules) != 4 {
		t.Errorf("%d rules, %v", len(p.Rules), err)
	}
	for _, k := range chaos.Kinds() {
		if k.Kind.AppliesTo(chaos.CQL) && !strings.Contains(string(text), "`"+string(k.Kind)+"`") {
			t.Errorf("the guide says nothing of %s", k.Kind)
		}
	}
}
