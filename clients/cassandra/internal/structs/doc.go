// Package structs implements the rule by which Go structs correspond to rows and to
// values of user-defined types: which field belongs to which column.
//
// It may import only the standard library.
package structs
