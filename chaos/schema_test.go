package chaos_test

import (
	"testing"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/internal/goldentest"
)

// TestTheSchemaIsCurrent holds the committed schema of plans, which editors read.
// UPDATE_GOLDEN=1 writes it again. internal/schemacheck checks that it judges as Parse does.
func TestTheSchemaIsCurrent(t *testing.T) {
	const file = "../docs/reference/plan.schema.json"
	got := chaos.Schema(nil, "A plan of faults")
	goldentest.Equal(t, file, string(got))
}
