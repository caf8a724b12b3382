package cassandra

import (
	"reflect"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
)

// statement is what a statement's text tells. It is made once a text.
type statement struct {
	// shown is the text as errors show it.
	shown string
	// write is false for SELECT only.
	write bool
	// conditional: it has an IF clause with a condition on rows.
	conditional bool
	// unrepeatable says why running it twice does harm, "" if its text does not tell.
	unrepeatable string
	// markers is the number of values that the text asks for; named is true if some
	// are asked for by name, so that one value may serve several.
	markers int
	named   bool
	// added are the values, by place, that a column has added to it. A number makes
	// it a counter, which may not be repeated; sets and maps may.
	added []int
	// operation, table and traced are what observers are told: traced is the text
	// without values.
	operation, table, traced string
}

const (
	shownBytes = 200
	// maxStatements bounds what is remembered; texts that hold their values would
	// otherwise fill the memory.
	maxStatements = 2048
)

// quoted is what holds text of any kind: strings, comments, quoted names.
const quoted = `'(?:[^']|'')*'|\$\$(?s:.*?)\$\$|--[^\n]*|//[^\n]*|/\*(?s:.*?)\*/|"(?:[^"]|"")*"`

var (
	words       = regexp.MustCompile(quoted + `|[A-Za-z_][A-Za-z0-9_]*|\S`)
	generators  = map[string]bool{"now": true, "uuid": true, "currenttimeuuid": true, "currenttimestamp": true, "currentdate": true, "currenttime": true, "current_timeuuid": true, "current_timestamp": true, "current_date": true, "current_time": true}
	ddlExisting = map[string]bool{"CREATE": true, "DROP": true, "ALTER": true}
)

// parse reads as much of a statement as decides how it may be run.
func parse(cql string) *statement {
	s := &statement{shown: strings.Join(strings.Fields(cql), " "), write: true}
	if len(s.shown) > shownBytes {
		s.shown = s.shown[:shownBytes] + "..."
	}
	var tokens []string
	for _, w := range words.FindAllString(cql, -1) {
		if strings.HasPrefix(w, "--") || strings.HasPrefix(w, "//") || strings.HasPrefix(w, "/*") {
			continue
		}
		tokens = append(tokens, w)
	}
	if len(tokens) == 0 {
		return s
	}
	s.operation, s.table = target(tokens)
	s.traced = withoutValues(cql)
	first := s.operation
	s.write = first != "SELECT"
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
		}
		if !s.write {
			continue
		}
		switch {
		case strings.EqualFold(w, "IF") && !ddlExisting[first]:
			s.conditional = true
		case next == "(" && generators[strings.ToLower(w)]:
			s.unrepeatable = strings.ToLower(w) + "() makes another value each time"
		case (w == "+" || w == "-") && i >= 3 && tokens[i-2] == "=" && strings.EqualFold(tokens[i-3], tokens[i-1]), w == "=" && i >= 1 && (tokens[i-1] == "+" || tokens[i-1] == "-"):
			s.adds(next)
		case next == "+" && i+2 < len(tokens) && i >= 2 && tokens[i-1] == "=" && strings.EqualFold(tokens[i+2], tokens[i-2]):
			if w == "?" {
				s.added = append(s.added, s.markers-1)
			} else {
				s.adds(w)
			}
		}
	}
	if s.conditional {
		s.unrepeatable = "a conditional write run twice meets its own first run"
	}
	return s
}

// adds notes what is added to a column: a number or a list's element is there twice
// if it is added twice.
func (s *statement) adds(operand string) {
	switch {
	case operand == "?":
		s.added = append(s.added, s.markers)
	case operand == "[", operand != "" && operand[0] >= '0' && operand[0] <= '9':
		s.unrepeatable = "it adds to what is there each time"
	}
}

// counts says whether one of the values that are added is a number.
func (s *statement) counts(args []any) bool {
	for _, i := range s.added {
		if i < len(args) && args[i] != nil {
			switch reflect.TypeOf(args[i]).Kind() {
			case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
				return true
			}
		}
	}
	return false
}

// statements remembers what was parsed. It is read without a lock.
type statements struct {
	known atomic.Pointer[map[string]*statement]
	mu    sync.Mutex // for writers
}

func (s *statements) get(cql string) *statement {
	if known := s.known.Load(); known != nil {
		if st := (*known)[cql]; st != nil {
			return st
		}
	}
	st := parse(cql)
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.known.Load()
	after := map[string]*statement{}
	if before != nil {
		if len(*before) >= maxStatements {
			return st
		}
		for k, v := range *before {
			after[k] = v
		}
	}
	after[cql] = st
	s.known.Store(&after)
	return st
}
