package suggest

import (
	"iter"
	"strings"
)

// Nearest returns the name that is closest to the given one, or "" if none is close. A name is
// close if it differs by at most three edits and by at most one edit per three characters of the
// given name (one edit if it has two or three characters), or if it is the only name that begins
// with the given one. Letter case, spaces, dots, hyphens and underscores do not count, so
// maxAttempts is close to max_attempts. If several names are equally close, the first is
// returned.
func Nearest(given string, names iter.Seq[string]) string {
	plain := fold(given)
	size := len([]rune(plain))
	if size < 2 {
		return ""
	}
	best, found := min(max(1, size/3), 3), ""
	longer, several := "", false
	for name := range names {
		if d := distance(plain, fold(name)); d < best || d == best && found == "" {
			best, found = d, name
		}
		if size > 2 && strings.HasPrefix(fold(name), plain) {
			longer, several = name, longer != ""
		}
	}
	if found == "" && !several {
		return longer
	}
	return found
}

// Phrase returns `; did you mean "name"?`, or "" when no name is close.
func Phrase(given string, names iter.Seq[string]) string {
	if name := Nearest(given, names); name != "" {
		return `; did you mean "` + name + `"?`
	}
	return ""
}

var separators = strings.NewReplacer("_", "", "-", "", ".", "", " ", "")

func fold(s string) string { return separators.Replace(strings.ToLower(s)) }

// distance returns the Damerau-Levenshtein distance with adjacent transpositions (optimal string
// alignment): the number of characters to insert, remove, replace or swap.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	var before []int
	row := make([]int, len(y)+1)
	for j := range row {
		row[j] = j
	}
	for i := range x {
		next := make([]int, len(y)+1)
		next[0] = i + 1
		for j := range y {
			cost := 1
			if x[i] == y[j] {
				cost = 0
			}
			next[j+1] = min(row[j]+cost, row[j+1]+1, next[j]+1)
			if i > 0 && j > 0 && x[i] == y[j-1] && x[i-1] == y[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row = row, next
	}
	return row[len(y)]
}
