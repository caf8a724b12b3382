// Package accept is the loop in which the proxies take connections, and whether others
// than this machine can reach them.
//
// It may import the standard library.
//
// It promises: a passing failure to accept ends nothing; when Loop has returned, so has
// everything that it called.
package accept
