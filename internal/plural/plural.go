package plural

import (
	"strconv"
	"strings"
)

// Count returns a number and its noun: "1 retry", "2 retries".
func Count(n int, noun string) string { return strconv.Itoa(n) + " " + Noun(n, noun) }

// Noun returns the noun as it stands after the number n.
func Noun(n int, noun string) string {
	last := len(noun) - 1
	switch {
	case n == 1 || last < 0:
		return noun
	case noun[last] == 'y' && (last == 0 || !strings.ContainsRune("aeiou", rune(noun[last-1]))):
		return noun[:last] + "ies"
	}
	return noun + "s"
}
