// Package suggest finds the name that was probably meant by one that does not exist.
//
// It imports the standard library only.
package suggest
