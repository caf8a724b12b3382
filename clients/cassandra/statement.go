package cassandra

import (
	"regexp"
	"strings"

	"github.com/backstay-go/backstay/clients/cassandra/internal/recent"
)

// statement is what can be read from a statement's text. It is parsed once per text.
type statement struct {
	// text is what is sent. Comments before the first word are moved to the end or
	// dropped, because with them the driver would not recognize the statement.
	text string
	// shown is the text as errors show it, without values.
	shown string
	// literals are the values that the text holds.
	literals []string
	// write is false for SELECT only.
	write bool
	// conditional is set if it has an IF clause with a condition on rows.
	conditional bool
	// schema is set if it changes the schema.
	schema bool
	// unrepeatable is why running it twice does harm; "" if the text does not show any.
	unrepeatable string
	// markers is the number of values for which the text asks. named is true if some of
	// them are asked for by name, so that one value may be used several times.
	markers int
	named   bool
	// operands are the values that decide whether running it twice does harm.
	operands []operand
	// operation, table and traced are for observers. traced is the text without values.
	operation, table, traced string
}

const shownBytes = 200

// quoted matches what may contain any text: strings, comments, quoted names. A string
// without an end extends to the end of the text.
const quoted = `'(?:[^']|'')*(?:'|$)|\$\$(?s:.*?)(?:\$\$|$)|--[^\n]*|//[^\n]*|/\*(?s:.*?)(?:\*/|$)|"(?:[^"]|"")*"`

var (
	words       = regexp.MustCompile(quoted + `|[A-Za-z_][A-Za-z0-9_]*|\S`)
	generators  = map[string]bool{"now": true, "uuid": true, "currenttimeuuid": true, "currenttimestamp": true, "currentdate": true, "currenttime": true, "current_timeuuid": true, "current_timestamp": true, "current_date": true, "current_time": true}
	ddlExisting = map[string]bool{"CREATE": true, "DROP": true, "ALTER": true}
)

func isComment(word string) bool {
	return strings.HasPrefix(word, "--") || strings.HasPrefix(word, "//") || strings.HasPrefix(word, "/*")
}

// parse reads what decides how a statement may be run.
func parse(cql string) *statement {
	s := &statement{text: leadingWord(cql), write: true, traced: withoutValues(cql), literals: literalsOf(cql)}
	s.shown = s.traced
	if len(s.shown) > shownBytes {
		s.shown = strings.ToValidUTF8(s.shown[:shownBytes], "") + "..."
	}
	var tokens []string
	for _, w := range words.FindAllString(cql, -1) {
		if !isComment(w) {
			tokens = append(tokens, w)
		}
	}
	if len(tokens) == 0 {
		return s
	}
	s.operation, s.table = target(tokens)
	first := strings.ToUpper(tokens[0])
	s.write, s.schema = first != "SELECT", ddlExisting[first]
	for i, w := range tokens {
		next := ""
		if i+1 < len(tokens) {
			next = tokens[i+1]
		}
		switch {
		case w == "?":
			s.markers++
		case w == ":" && i > 0 && next != "":
			s.named = true
		case !s.write:
		case strings.EqualFold(w, "IF") && !s.schema:
			s.conditional = true
		case next == "(" && generators[strings.ToLower(w)]:
			s.unrepeatable = strings.ToLower(w) + "() makes another value each time"
		}
	}
	s.repeats(tokens)
	if s.conditional {
		s.unrepeatable = "a conditional write run twice meets its own first run"
	}
	return s
}

// leadingWord moves comments before the first word to the end; tools that tag queries
// put them there. Comments that end with a line are dropped.
func leadingWord(cql string) string {
	rest, moved := strings.TrimSpace(cql), ""
	if rest == "" || !isComment(rest) {
		return cql
	}
	for isComment(rest) {
		comment := words.FindString(rest)
		if strings.HasPrefix(comment, "/*") && strings.HasSuffix(comment, "*/") {
			moved += " " + comment
		}
		rest = strings.TrimSpace(rest[len(comment):])
	}
	return strings.TrimRight(rest, "; \t\r\n") + moved
}

// statements remembers recently parsed statements.
type statements struct {
	known recent.Map[string, *statement]
}

func (s *statements) get(cql string) *statement {
	if st, ok := s.known.Get(cql); ok {
		return st
	}
	st := parse(cql)
	s.known.Put(cql, st)
	return st
}
