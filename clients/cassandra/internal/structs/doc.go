// Package structs knows the one rule by which Go structs stand for rows and for values
// of user-defined types: which field is which column.
//
// It may import only the standard library.
package structs
