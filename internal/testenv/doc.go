// Package testenv decides what a test does on a machine that lacks something:
// on a developer's machine the test is skipped and says what to install, with
// CI=true it fails.
//
// It may import only the standard library, and only tests import it.
package testenv
