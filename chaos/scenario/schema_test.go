package scenario_test

import (
	"testing"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/scenario"
	"github.com/backstay-go/backstay/internal/goldentest"
)

// TestTheSchemaIsCurrent holds the committed schema of scenarios, which editors read.
// UPDATE_GOLDEN=1 writes it again. internal/schemacheck checks that it judges as Parse does.
func TestTheSchemaIsCurrent(t *testing.T) {
	const file = "../../docs/reference/scenario.schema.json"
	got := chaos.Schema(&scenario.Scenario{}, "A scenario")
	goldentest.Equal(t, file, string(got))
}
