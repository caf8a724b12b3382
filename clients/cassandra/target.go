package cassandra

import (
	"regexp"
	"slices"
	"strings"
)

// values matches what may be a value in a statement's text, and what must be skipped to
// find them.
var values = regexp.MustCompile(quoted +
	`|[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|[A-Za-z_][A-Za-z0-9_]*|0[xX][0-9a-fA-F]*|[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?[0-9A-Za-z_]*`)

// duration matches an ISO 8601 duration, which CQL accepts without quotes.
var duration = regexp.MustCompile(`^[Pp](?:[0-9]{4}|(?:[0-9]+[YyMmWwDd])+(?:[Tt](?:[0-9]+[HhMmSs])+)?|[Tt](?:[0-9]+[HhMmSs])+)$`)

var uuid = regexp.MustCompile(`^[0-9A-Fa-f]{8}-`)

// withoutValues replaces each value in the text by "?". It removes comments, because
// they may contain values.
func withoutValues(cql string) string {
	text := values.ReplaceAllStringFunc(cql, func(w string) string {
		switch {
		case strings.HasPrefix(w, "--"), strings.HasPrefix(w, "//"), strings.HasPrefix(w, "/*"):
			return " "
		case w[0] == '\'', w[0] == '$', duration.MatchString(w), w[0] >= '0' && w[0] <= '9', uuid.MatchString(w),
			strings.EqualFold(w, "true"), strings.EqualFold(w, "false"), strings.EqualFold(w, "nan"), strings.EqualFold(w, "infinity"):
			return "?"
		}
		return w
	})
	return strings.Join(strings.Fields(text), " ")
}

// literalsOf returns the values in a text, in the forms in which a server may repeat
// them.
func literalsOf(cql string) []string {
	var all []string
	for _, w := range values.FindAllString(cql, -1) {
		switch {
		case w[0] == '\'':
			raw := strings.TrimSuffix(w[1:], "'")
			if raw != "" {
				all = append(all, raw)
			}
			if text := strings.ReplaceAll(raw, "''", "'"); text != raw {
				all = append(all, text)
			}
		case strings.HasPrefix(w, "$$"):
			if text := strings.Trim(w, "$"); text != "" {
				all = append(all, text)
			}
		case w[0] >= '0' && w[0] <= '9', uuid.MatchString(w):
			all = append(all, w)
		}
	}
	// The longest come first, because they may contain others.
	slices.SortStableFunc(all, func(a, b string) int { return len(b) - len(a) })
	return all
}

// before names the word after which a table's name comes.
var before = map[string]string{"SELECT": "FROM", "DELETE": "FROM", "INSERT": "INTO", "UPDATE": "UPDATE", "TRUNCATE": "TRUNCATE"}

// target returns what a statement does, and to which table. Both are "" for another
// kind of statement or if they can't be found.
func target(tokens []string) (operation, table string) {
	operation = strings.ToUpper(tokens[0])
	if operation == "BEGIN" {
		return "BATCH", commonTable(tokens)
	}
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

// commonTable returns the table of all statements of a batch that is written as one
// text; "" if there are several.
func commonTable(tokens []string) string {
	common, start := "", 0
	for i := 1; i <= len(tokens); i++ {
		if i < len(tokens) && !isVerb(tokens[i]) {
			continue
		}
		if start > 0 {
			switch _, table := target(tokens[start:i]); {
			case common == "":
				common = table
			case common != table:
				return ""
			}
		}
		start = i
	}
	return common
}
