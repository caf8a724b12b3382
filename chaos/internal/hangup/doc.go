// Package hangup ends connections, as both proxies do: as if both sides had ended, or with a
// reset.
//
// It may import the standard library.
package hangup
