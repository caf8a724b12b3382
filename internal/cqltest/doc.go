// Package cqltest is a Cassandra cluster that does what a test's script says: stay
// silent, answer late, answer with any error of the protocol, with wrong frames or
// on streams that nobody opened, break off in the middle of a frame, refuse
// connections, come back under another address. Its nodes speak the native
// protocol, version 3 and 4, on addresses 127.0.0.1 and up, and count what they
// receive.
//
// It may import the protocol's library and package testing; only tests import it.
//
// It promises that what it starts ends with the test, and that a statement without
// a script is answered with an error that says so.
package cqltest
