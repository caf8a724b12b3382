package record

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/backstay-go/backstay/resilience"
)

// header is what a record, and each further part of it, begins with; a space and the time
// that starts count from follow.
const header = "backstay-record 1"

// gap begins the line that says how many calls were dropped at this place.
const gap = "dropped "

// letters are the outcomes in a line.
const letters = "sfoi"

// The marks behind an attempt.
const (
	afterMark = 'r' // a time follows
	hedgeMark = 'h'
	cutMark   = 'c'
)

// appendCall appends a call's line.
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

// letterOf is an outcome's letter. One that is none of the constants counts neither way.
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
	// No space inside, so that fields stay parted by spaces.
	return append(b, strings.ReplaceAll(strconv.Quote(name), " ", `\x20`)...)
}
