package chaos_test

import (
	"os"
	"testing"

	"github.com/backstay-go/backstay/chaos"
)

// TestTheSchemaIsCurrent holds the committed schema of plans, which editors read.
// UPDATE_GOLDEN=1 makes it anew. internal/schemacheck holds that it judges as Parse does.
func TestTheSchemaIsCurrent(t *testing.T) {
	const file = "../docs/reference/plan.schema.json"
	got := chaos.Schema(nil, "A plan of faults")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v: make it with UPDATE_GOLDEN=1", err)
	}
	if string(got) != string(want) {
		t.Errorf("%s is not what the structs say: UPDATE_GOLDEN=1, and read the diff", file)
	}
}
