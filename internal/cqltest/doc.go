// Package cqltest is a Cassandra cluster that does what a test's script says. Its nodes can
// stay silent, answer late, answer with any error of the protocol, send wrong frames or
// frames on streams that nobody opened, break off in the middle of a frame, refuse
// connections, and come back under another address. They speak the native protocol,
// versions 3 and 4, on addresses from 127.0.0.1 up, and count what they receive.
//
// It may import the protocol's library and package testing. Only tests may import it.
//
// It promises that what it starts ends with the test, and that a statement without
// a script is answered with an error that says so.
package cqltest
