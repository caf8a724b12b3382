// Package tcptest is a server on TCP for the tests of what stands before one.
//
// It may import the standard library; only tests import it.
//
// It promises that what it starts ends with the test.
package tcptest
