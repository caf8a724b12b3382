package rest_test

import (
	"testing"

	"github.com/backstay-go/backstay/internal/apitest"
)

// TestExportedAPI holds what users of this package and of those below it can write against.
func TestExportedAPI(t *testing.T) {
	apitest.Holds(t, ".", "cache", "server", "telemetry")
}
