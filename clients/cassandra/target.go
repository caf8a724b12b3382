package cassandra

import (
	"regexp"
	"strings"
)

// values are what may be a value in a statement's text, and what must be passed
// over to find them.
var values = regexp.MustCompile(quoted +
	`|[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|[A-Za-z_][A-Za-z0-9_]*|0[xX][0-9a-fA-F]*|[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?[0-9A-Za-z_]*`)

var uuid = regexp.MustCompile(`^[0-9A-Fa-f]{8}-`)

// withoutValues puts "?" in place of each value of the text, and leaves comments out,
// which may hold some.
func withoutValues(cql string) string {
	text := values.ReplaceAllStringFunc(cql, func(w string) string {
		switch {
		case strings.HasPrefix(w, "--"), strings.HasPrefix(w, "//"), strings.HasPrefix(w, "/*"):
			return " "
		case w[0] == '\'', w[0] == '$', w[0] >= '0' && w[0] <= '9', uuid.MatchString(w),
			strings.EqualFold(w, "true"), strings.EqualFold(w, "false"), strings.EqualFold(w, "nan"), strings.EqualFold(w, "infinity"):
			return "?"
		}
		return w
	})
	return strings.Join(strings.Fields(text), " ")
}

// before names the word that a table's name follows.
var before = map[string]string{"SELECT": "FROM", "DELETE": "FROM", "INSERT": "INTO", "UPDATE": "UPDATE", "TRUNCATE": "TRUNCATE"}

// target finds what a statement does, and to which table, "" if it is another kind of
// statement or not to be found.
func target(tokens []string) (operation, table string) {
	operation = strings.ToUpper(tokens[0])
	word, ok := before[operation]
	if !ok {
		return operation, ""
	}
	for i, w := range tokens {
		if !strings.EqualFold(w, word) {
			continue
		}
		rest := tokens[i+1:]
		if operation == "TRUNCATE" && len(rest) > 1 && (strings.EqualFold(rest[0], "TABLE") || strings.EqualFold(rest[0], "COLUMNFAMILY")) {
			rest = rest[1:]
		}
		switch {
		case len(rest) == 0:
			return operation, ""
		case len(rest) >= 3 && rest[1] == ".":
			return operation, rest[0] + "." + rest[2]
		}
		return operation, rest[0]
	}
	return operation, ""
}
