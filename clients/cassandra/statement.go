package cassandra

import (
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
	// selfAdd holds the columns that are set to themselves plus something: counters
	// and lists may not be repeated, sets and maps may.
	selfAdd []string
}

const (
	shownBytes = 200
	// maxStatements bounds what is remembered; texts that hold their values would
	// otherwise fill the memory.
	maxStatements = 2048
)

var (
	words       = regexp.MustCompile(`'(?:[^']|'')*'|\$\$(?s:.*?)\$\$|--[^\n]*|//[^\n]*|/\*(?s:.*?)\*/|"(?:[^"]|"")*"|[A-Za-z_][A-Za-z0-9_]*|\S`)
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
	first := strings.ToUpper(tokens[0])
	s.write = first != "SELECT"
	if !s.write {
		return s
	}
	for i, w := range tokens {
		next := ""
		if i+1 < len(tokens) {
			next = tokens[i+1]
		}
		switch {
		case strings.EqualFold(w, "IF") && !ddlExisting[first]:
			s.conditional = true
		case next == "(" && generators[strings.ToLower(w)]:
			s.unrepeatable = strings.ToLower(w) + "() makes another value each time"
		case next == "=" && i+3 < len(tokens) && (tokens[i+3] == "+" || tokens[i+3] == "-") && strings.EqualFold(tokens[i+2], w),
			next == "=" && i+4 < len(tokens) && tokens[i+3] == "+" && strings.EqualFold(tokens[i+4], w):
			s.selfAdd = append(s.selfAdd, strings.Trim(w, `"`))
		case (next == "+" || next == "-") && i+2 < len(tokens) && tokens[i+2] == "=":
			s.selfAdd = append(s.selfAdd, strings.Trim(w, `"`))
		}
	}
	if s.conditional {
		s.unrepeatable = "a conditional write run twice meets its own first run"
	}
	return s
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
