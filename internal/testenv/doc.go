// Package testenv decides what a test does if the machine lacks something. On a developer's
// machine the test is skipped and says what to install. With CI=true it fails.
//
// It may import only the standard library, and only tests import it.
package testenv
