// Package recent remembers what was used recently, within a bound: statements that hold
// their values would otherwise fill the memory, or push out those that do not.
//
// It may import only the standard library.
//
// It promises that a key that is used again and again is never forgotten.
package recent
