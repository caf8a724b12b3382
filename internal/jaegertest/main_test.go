package jaegertest_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// helper is set in the process that TestJaegerDiesWithItsTest kills.
const helper = "JAEGERTEST_HELPER"

func TestMain(m *testing.M) {
	if os.Getenv(helper) != "" {
		os.Exit(m.Run()) // it is killed; what it leaks is not asked
	}
	goleak.VerifyTestMain(m)
}
