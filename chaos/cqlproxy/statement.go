package cqlproxy

import "strings"

// statement holds the properties of a CQL text that rules can match. It is immutable.
type statement struct {
	text      string
	operation string // first word, in capitals; BATCH for BEGIN … BATCH
	// keyspace and table are those of the text; several that differ are joined by ",".
	keyspace, table string
	conditional     bool // an INSERT, UPDATE or DELETE with IF
	counter         bool // BEGIN COUNTER BATCH
	unlogged        bool // BEGIN UNLOGGED BATCH
}

// in returns the statement with keyspace for the tables that the text does not qualify.
func (s *statement) in(keyspace string) *statement {
	if s.keyspace != "" || keyspace == "" {
		return s
	}
	c := *s
	c.keyspace = keyspace
	return &c
}

// parseStatement reads as much of a text as it understands. If the text is not CQL, its
// first word is the operation.
func parseStatement(text string) *statement {
	s := &statement{text: text}
	t := tokens{text: text}
	word := t.next()
	s.operation = strings.ToUpper(word.text)
	writes := false
	switch s.operation {
	case "BEGIN":
		s.operation, writes = "BATCH", true
	case "INSERT", "UPDATE", "DELETE":
		writes = true
	}
	for ; word.kind != tokenEnd; word = t.next() {
		if word.kind != tokenWord {
			continue
		}
		switch strings.ToUpper(word.text) {
		case "FROM", "INTO", "UPDATE":
			s.target(&t)
		case "TABLE", "TRUNCATE", "COLUMNFAMILY":
			s.definition(&t)
		case "ON":
			if s.operation == "CREATE" {
				s.target(&t)
			}
		case "KEYSPACE", "USE":
			if s.operation == "USE" || s.operation == "CREATE" || s.operation == "ALTER" || s.operation == "DROP" {
				s.keyspaceName(&t)
			}
		case "COUNTER":
			s.counter = s.counter || s.operation == "BATCH" && s.table == ""
		case "UNLOGGED":
			s.unlogged = s.unlogged || s.operation == "BATCH" && s.table == ""
		case "IF":
			s.conditional = s.conditional || writes
		}
	}
	return s
}

// target reads the name of a table.
func (s *statement) target(t *tokens) {
	name := t.next()
	if !name.isName() {
		return
	}
	if ahead := *t; ahead.next().text == "." {
		t.next()
		if table := t.next(); table.isName() {
			s.keyspace, s.table = joined(s.keyspace, name.name()), joined(s.table, table.name())
		}
		return
	}
	s.table = joined(s.table, name.name())
}

// definition reads the name after TABLE or TRUNCATE, with TABLE and IF [NOT] EXISTS
// before it.
func (s *statement) definition(t *tokens) {
	for {
		ahead := *t
		switch strings.ToUpper(ahead.next().text) {
		case "TABLE", "IF", "NOT", "EXISTS":
			*t = ahead
			continue
		}
		s.target(t)
		return
	}
}

func (s *statement) keyspaceName(t *tokens) {
	for {
		name := t.next()
		switch strings.ToUpper(name.text) {
		case "IF", "NOT", "EXISTS":
			continue
		}
		if name.isName() {
			s.keyspace = joined(s.keyspace, name.name())
		}
		return
	}
}

// joined adds a name to a list, unless the list has it already.
func joined(list, name string) string {
	if list == "" {
		return name
	}
	for have := range strings.SplitSeq(list, ",") {
		if have == name {
			return list
		}
	}
	return list + "," + name
}

// Kinds of tokens.
const (
	tokenEnd = iota
	tokenWord
	tokenQuoted // a name in double quotes; text is without them
	tokenOther  // a literal or a sign
)

type token struct {
	kind int
	text string
}

func (t token) isName() bool { return t.kind == tokenWord || t.kind == tokenQuoted }

// name returns an identifier as Cassandra stores it: in lower case, unless it is quoted.
func (t token) name() string {
	if t.kind == tokenQuoted {
		return strings.ReplaceAll(t.text, `""`, `"`)
	}
	return strings.ToLower(t.text)
}

// tokens splits a CQL text into tokens, without its comments.
type tokens struct {
	text string
	at   int
}

func (t *tokens) next() token {
	for t.at < len(t.text) {
		rest := t.text[t.at:]
		switch c := rest[0]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			t.at++
		case strings.HasPrefix(rest, "--") || strings.HasPrefix(rest, "//"):
			t.until(2, "\n")
		case strings.HasPrefix(rest, "/*"):
			t.until(2, "*/")
		case strings.HasPrefix(rest, "$$"):
			t.until(2, "$$")
			return token{tokenOther, "$$"}
		case c == '\'':
			t.quoted('\'')
			return token{tokenOther, "'"}
		case c == '"':
			return token{tokenQuoted, t.quoted('"')}
		case wordByte(c):
			n := 1
			for n < len(rest) && wordByte(rest[n]) {
				n++
			}
			t.at += n
			return token{tokenWord, rest[:n]}
		default:
			t.at++
			return token{tokenOther, rest[:1]}
		}
	}
	return token{kind: tokenEnd}
}

func wordByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// until moves behind the end mark, which it looks for from skip bytes on. Without an end
// mark it moves to the end of the text.
func (t *tokens) until(skip int, end string) {
	if i := strings.Index(t.text[t.at+skip:], end); i >= 0 {
		t.at += skip + i + len(end)
	} else {
		t.at = len(t.text)
	}
}

// quoted moves behind a quoted text and returns the part between the quotes, in which a
// doubled quote stands for one.
func (t *tokens) quoted(quote byte) string {
	begin := t.at + 1
	for t.at = begin; t.at < len(t.text); t.at++ {
		if t.text[t.at] != quote {
			continue
		}
		if t.at+1 < len(t.text) && t.text[t.at+1] == quote {
			t.at++
			continue
		}
		t.at++
		return t.text[begin : t.at-1]
	}
	return t.text[min(begin, len(t.text)):]
}
