// Package cqltype has Go types for those CQL types that the standard library has none
// for: uuid, duration, decimal, and maps whose keys Go can't use as keys.
//
// It may import only the standard library.
//
// It promises that its values are plain data, are safe to copy, and can be bound,
// scanned and compared. Rows that are read as maps hold them.
package cqltype
