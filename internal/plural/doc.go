// Package plural writes a number with its noun, for messages that people read.
//
// It imports the standard library only.
package plural
