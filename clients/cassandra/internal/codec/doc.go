// Package codec turns Go values into CQL values and back. It uses the driver's own
// conversions where these are right, and has its own where they lose something: nested
// structs, nulls, tuples, vectors, UUIDs of other libraries, dates before 1970.
//
// It may import github.com/gocql/gocql, and packages structs and cqltype.
//
// It promises that its errors name types and places, and never values; and that nothing
// that it returns by itself is of one of the driver's own types.
package codec
