// Package netconn is a connection around another one, for those that look at what goes
// over it.
//
// # What this package may import
//
// The standard library.
//
// # What it promises
//
// What the connection below can do, the one around it can: send files by the system, and
// end its writing side.
package netconn
