// Package wire has the headers that travel between a client and a server of Backstay:
// their names, how they are written and how they are read.
//
// # What this package may import
//
// The standard library and package resilience.
//
// # What it promises
//
// What a Format function writes, its Parse function reads. A Parse function takes any
// text: what it does not understand it reports, and never guesses.
package wire
