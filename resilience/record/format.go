package record

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/backstay-go/backstay/resilience"
)

// header begins a record and each further part of one. A space and the base time, from which
// starts are counted, follow it.
const header = "backstay-record 1"

// gap begins the line that says how many calls were dropped at this place.
const gap = "dropped "

// letters holds the letter of each outcome, as it stands in a line.
const letters = "sfoi"

// The marks that may follow an attempt.
const (
	afterMark = 'r' // a time follows
	hedgeMark = 'h'
	cutMark   = 'c'
)

// appendCall appends the line of a call.
func appendCall(b []byte, c Call) []byte {
	b = strconv.AppendInt(b, c.Start.Microseconds(), 10)
	b = appendName(append(b, ' '), c.Dependency)
	b = appendName(append(b, ' '), c.Operation)
	b = append(append(b, ' '), c.Criticality.String()...)
	source := "none"
	if c.Answered {
		source = c.Source.String()
	}
	b = append(append(b, ' '), source...)
	b = append(append(b, ' '), c.Cause...)
	b = strconv.AppendInt(append(b, ' '), c.Took.Microseconds(), 10)
	b = append(b, ' ')
	for i, a := range c.Attempts {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, letterOf(a.Outcome))
		b = strconv.AppendInt(b, a.Start.Microseconds(), 10)
		b = strconv.AppendInt(append(b, '+'), a.Took.Microseconds(), 10)
		if a.After > 0 {
			b = strconv.AppendInt(append(b, afterMark), a.After.Microseconds(), 10)
		}
		if a.Hedge {
			b = append(b, hedgeMark)
		}
		if a.Cut {
			b = append(b, cutMark)
		}
	}
	if len(c.Attempts) == 0 {
		b = append(b, '-')
	}
	if c.Patience > 0 {
		b = strconv.AppendInt(append(b, ' '), c.Patience.Microseconds(), 10)
	}
	return append(b, '\n')
}

// letterOf returns the letter of an outcome. An unknown outcome is written as ignored.
func letterOf(o resilience.Outcome) byte {
	if int(o) >= len(letters) {
		o = resilience.Ignored
	}
	return letters[o]
}

func appendName(b []byte, name string) []byte {
	plain := name != "" && utf8.ValidString(name) && !strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == '"' || !strconv.IsPrint(r) })
	if plain {
		return append(b, name...)
	}
	// The name must not contain a space, because spaces separate the fields.
	return append(b, strings.ReplaceAll(strconv.Quote(name), " ", `\x20`)...)
}
