package resilience_test

import (
	"testing"

	"github.com/backstay-go/backstay/internal/apitest"
)

// TestExportedAPI holds what users of this package can write against.
func TestExportedAPI(t *testing.T) {
	apitest.Holds(t, ".")
}
