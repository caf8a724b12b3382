// Package recent remembers what was used recently, within a bound. Without a bound,
// statements that contain their values would fill the memory, or displace those that do
// not.
//
// It may import only the standard library.
//
// A key that is used again and again is never forgotten.
package recent
