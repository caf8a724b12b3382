// Package lru is a map that stays within bounds: it drops the least recently used
// entries when it holds too many, or too much, and entries whose time has passed.
//
// It knows no clock and starts no goroutine: every method that ages entries is given
// the time. It imports the standard library alone.
package lru
