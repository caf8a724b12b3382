package cassandra

import (
	"errors"
	"fmt"
	"strings"

	"github.com/backstay-go/backstay/clients/cassandra/internal/driver"
)

// operand is a value that is added to a column, or that names a place in it. Whether
// that may be done twice depends on the column's type, which only the statement's
// preparation reports.
type operand struct {
	// place is the number of the marker. name is its name, if it has one.
	place int
	name  string
	// sign is '+' or '-' for a value that is added or removed, and '[' for a place.
	sign byte
}

const (
	addsNumber  = "it adds a number each time"
	addsElement = "it adds to a list each time"
	listPlace   = "a place in a list may hold another element each time"
	addsAgain   = "it adds to what is there each time"
	counts      = "counters count each run"
)

// harm returns why running a statement twice with such a value does harm, "" if it does
// not.
func (o operand) harm(c driver.Column) string {
	list := strings.HasPrefix(c.Type, "list<")
	switch {
	case o.sign == '[' && (strings.HasPrefix(c.Name, "idx(") || !strings.HasPrefix(c.Name, "key(") && c.Type == "int"):
		return listPlace
	case o.sign == '[', strings.HasPrefix(c.Type, "set<"), strings.HasPrefix(c.Type, "map<"), list && o.sign == '-':
		return ""
	case list:
		return addsElement
	}
	return addsNumber
}

// harm returns why running the statement twice does harm, according to what its
// preparation reports about its values.
func (s *statement) harm(params []driver.Column) string {
	for _, c := range params {
		if c.Type == "counter" && s.operation != "SELECT" {
			return addsNumber
		}
	}
	for _, o := range s.operands {
		found := false
		for i, c := range params {
			if o.name == "" && i == o.place || o.name != "" && c.Name == o.name {
				found = true
				if why := o.harm(c); why != "" {
					return why
				}
			}
		}
		if !found {
			return addsAgain
		}
	}
	return ""
}

// mayRepeat returns a function that may refuse the statement under an idempotent
// profile once it is prepared; nil if nothing can be refused.
func (x *execution) mayRepeat(st *statement) func([]driver.Column) error {
	if !x.profile.Idempotent || !st.write || st.operation == "INSERT" || st.markers == 0 && !st.named {
		return nil
	}
	return func(params []driver.Column) error {
		if why := st.harm(params); why != "" {
			return errors.New(notIdempotent(x.profile.name, why))
		}
		return nil
	}
}

func notIdempotent(profile, why string) string {
	return fmt.Sprintf("profile %q is idempotent, and the statement is not: %s; run it under a profile that is not", profile, why)
}

// repeats records what the text says about running the statement twice. For a batch
// that is written as one text it looks at all its statements.
func (s *statement) repeats(tokens []string) {
	if !s.write || s.schema {
		return
	}
	places := markerPlaces(tokens)
	if strings.EqualFold(tokens[0], "BEGIN") && len(tokens) > 1 && strings.EqualFold(tokens[1], "COUNTER") {
		s.unrepeatable = counts
	}
	start := 0
	for i := 1; i <= len(tokens); i++ {
		if i == len(tokens) || isVerb(tokens[i]) {
			s.clause(tokens[start:i], places[start:i])
			start = i
		}
	}
}

func isVerb(word string) bool {
	return strings.EqualFold(word, "INSERT") || strings.EqualFold(word, "UPDATE") || strings.EqualFold(word, "DELETE")
}

// markerPlaces returns, for each token, the number of markers before it.
func markerPlaces(tokens []string) []int {
	places := make([]int, len(tokens))
	n := 0
	for i, w := range tokens {
		places[i] = n
		if w == "?" || w == ":" && i+1 < len(tokens) && isName(tokens[i+1]) {
			n++
		}
	}
	return places
}

// clause examines the part of one statement that says what is changed.
func (s *statement) clause(tokens []string, places []int) {
	if len(tokens) == 0 {
		return
	}
	begin, end := "SET", "WHERE"
	switch {
	case strings.EqualFold(tokens[0], "DELETE"):
		begin, end = "DELETE", "FROM"
	case !strings.EqualFold(tokens[0], "UPDATE"):
		return
	}
	from, to := -1, len(tokens)
	for i, w := range tokens {
		switch {
		case from < 0 && strings.EqualFold(w, begin):
			from = i + 1
		case from >= 0 && strings.EqualFold(w, end):
			to = min(to, i)
		}
	}
	if from < 0 {
		return
	}
	depth, start := 0, from
	for i := from; i <= to; i++ {
		if i == to || depth == 0 && tokens[i] == "," {
			s.change(tokens[start:i], places[start:i])
			start = i + 1
			continue
		}
		switch tokens[i] {
		case "(", "[", "{":
			depth++
		case ")", "]", "}":
			depth--
		}
	}
}

// change examines one assignment, or one thing that is deleted.
func (s *statement) change(t []string, places []int) {
	if len(t) > 2 && t[1] == "[" {
		if end := closing(t, 1); end > 0 {
			s.place(t[2:end], places[2:end])
		}
		return
	}
	switch {
	case len(t) < 3:
	case (t[1] == "+" || t[1] == "-") && t[2] == "=":
		s.adds(t[1], t[3:], places[3:])
	case t[1] == "=":
		s.addsToItself(t, places)
	}
}

// closing returns the bracket that closes the one at open; 0 if none does.
func closing(t []string, open int) int {
	depth := 0
	for i := open; i < len(t); i++ {
		switch t[i] {
		case "(", "[", "{":
			depth++
		case ")", "]", "}":
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return 0
}

// addsToItself examines assignments such as column = column + value.
func (s *statement) addsToItself(t []string, places []int) {
	right, at := t[2:], places[2:]
	self, depth := -1, 0
	for i, w := range right {
		switch w {
		case "(", "[", "{":
			depth++
		case ")", "]", "}":
			depth--
		}
		if depth == 0 && isName(w) && unquoted(w) == unquoted(t[0]) && (i == 0 || right[i-1] != ":" && right[i-1] != ".") {
			self = i
		}
	}
	last := len(right) - 1
	switch {
	case self < 0 || last == 0:
	case self == 0 && (right[1] == "+" || right[1] == "-"):
		s.adds(right[1], right[2:], at[2:])
	case self == last && right[last-1] == "+":
		s.adds("+", right[:last-1], at)
	default:
		s.unrepeatable = addsAgain
	}
}

// adds examines what is added to a column or removed from it.
func (s *statement) adds(sign string, value []string, places []int) {
	switch {
	case len(value) == 0:
		s.unrepeatable = addsAgain
	case value[0] == "{" && closing(value, 0) == len(value)-1:
	case value[0] == "[" && closing(value, 0) == len(value)-1:
		if sign == "+" {
			s.unrepeatable = addsElement
		}
	case !s.marks(sign[0], value, places):
		s.unrepeatable = addsAgain
	}
}

// place examines what names a place in a column. A number may name a place in a list or
// in a map.
func (s *statement) place(value []string, places []int) {
	if s.marks('[', value, places) {
		return
	}
	for _, w := range value {
		if w != "-" && (w < "0" || w > "9") {
			return
		}
	}
	s.unrepeatable = listPlace + "; bind the key of a map"
}

// marks records a value that is bound; false if it is not bound.
func (s *statement) marks(sign byte, value []string, places []int) bool {
	switch {
	case len(value) == 1 && value[0] == "?":
		s.operands = append(s.operands, operand{place: places[0], sign: sign})
	case len(value) == 2 && value[0] == ":" && isName(value[1]):
		s.operands = append(s.operands, operand{place: places[0], name: unquoted(value[1]), sign: sign})
	default:
		return false
	}
	return true
}

func isName(word string) bool {
	return word != "" && (word[0] == '"' || word[0] == '_' || word[0] >= 'a' && word[0] <= 'z' || word[0] >= 'A' && word[0] <= 'Z')
}

// unquoted returns a name as the server stores it.
func unquoted(name string) string {
	if strings.HasPrefix(name, `"`) {
		return strings.ReplaceAll(strings.Trim(name, `"`), `""`, `"`)
	}
	return strings.ToLower(name)
}
