//go:build !linux

package jaegertest

import "os/exec"

// dieWithUs does nothing on systems whose kernel has no such service. The test's cleanup kills
// Jaeger, except if the test process crashes.
func dieWithUs(*exec.Cmd) {}
