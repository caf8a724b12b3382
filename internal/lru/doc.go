// Package lru is a map with bounds. It drops the least recently used entries when the map holds
// too many entries or their sizes add up to too much, and it drops entries that have expired.
//
// It reads no clock and starts no goroutine: methods that expire entries take the time as an
// argument. It imports the standard library only.
package lru
