//go:build !unix

package jaegertest

import "context"

// lock does nothing where files have no such locks: two test binaries may then
// both build, and the later rename wins, with the same program.
func lock(context.Context, string) (unlock func(), err error) { return func() {}, nil }
