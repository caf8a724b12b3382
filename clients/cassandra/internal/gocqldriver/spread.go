package gocqldriver

import (
	"regexp"
	"strings"

	"github.com/gocql/gocql"

	"github.com/backstay-go/backstay/clients/cassandra/internal/codec"
)

// markers matches the places of values in a statement, and what must be skipped to find
// them: strings, quoted names and comments.
var markers = regexp.MustCompile(`'(?:[^']|'')*'|\$\$(?s:.*?)\$\$|--[^\n]*|//[^\n]*|/\*(?s:.*?)\*/|"(?:[^"]|"")*"|\?|:[A-Za-z_][A-Za-z0-9_]*|:"(?:[^"]|"")*"`)

// spreads records how the statement is sent if there are tuples among its values. The
// driver counts the elements of a tuple as values of the statement, and then finds too
// few places for them. So the marker ? of a tuple is replaced by (?, ?).
func (r *route) spreads(cql string, info *gocql.QueryInfo) {
	tuples := false
	widths := make([]int, len(info.Args))
	for i, c := range info.Args {
		if t, is := c.TypeInfo.(gocql.TupleTypeInfo); is {
			widths[i], tuples = len(t.Elems), true
		}
	}
	if !tuples {
		return
	}
	place := 0
	text := markers.ReplaceAllStringFunc(cql, func(w string) string {
		if w[0] != '?' && w[0] != ':' {
			return w
		}
		place++
		if place > len(widths) || widths[place-1] == 0 {
			return "?"
		}
		return "(?" + strings.Repeat(", ?", widths[place-1]-1) + ")"
	})
	if place == len(widths) {
		r.spread, r.widths = text, widths
	}
}

// spreadOut replaces each tuple by its elements.
func (r *route) spreadOut(values []any) ([]any, error) {
	var all []any
	for i, v := range values {
		if i >= len(r.widths) || r.widths[i] == 0 {
			all = append(all, v)
			continue
		}
		elements, err := codec.Elements(v, r.widths[i])
		if err != nil {
			return nil, valueError(r.params[i], err)
		}
		all = append(all, elements...)
	}
	return all, nil
}
