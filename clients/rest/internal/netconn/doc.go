// Package netconn wraps a connection, for code that observes what is sent and received
// over it.
//
// # What this package may import
//
// The standard library.
//
// # What it promises
//
// The wrapper can do what the wrapped connection can: let the system send files, and
// close its writing side.
package netconn
