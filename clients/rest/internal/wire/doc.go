// Package wire has the headers that travel between a client and a server of Backstay:
// their names, how they are written and how they are read.
//
// # What this package may import
//
// The standard library and package resilience.
//
// # What it promises
//
// A Parse function reads what its Format function writes. It accepts any text: if it
// does not understand the text, it says so and does not guess.
package wire
