//go:build !linux

package cassandratest

import (
	"testing"

	"github.com/backstay-go/backstay/internal/testenv"
)

const missing = "Linux, on which Cassandra nodes are run for tests"

// Hosts skips the test, or fails it with CI=true: nodes are run on Linux only.
func Hosts(tb testing.TB) []string {
	tb.Helper()
	testenv.Missing(tb, missing)
	return nil
}

// Keyspace skips the test as Hosts does.
func Keyspace(tb testing.TB) (hosts []string, keyspace string) {
	tb.Helper()
	testenv.Missing(tb, missing)
	return nil, ""
}
