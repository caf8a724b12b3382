package scenario

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/backstay-go/backstay/chaos/load"
)

// Table is the result of an enumeration.
type Table struct {
	Request string  `json:"request"`
	Points  []Point `json:"points"`
	Cells   []Cell  `json:"cells"`
}

// Bad returns the cells with results that no caller should get.
func (t *Table) Bad() []Cell {
	return slices.DeleteFunc(slices.Clone(t.Cells), func(c Cell) bool { return !c.Bad() })
}

// Coverage returns the share of cells whose fault harmed a call.
func (t *Table) Coverage() float64 {
	n := 0
	for _, c := range t.Cells {
		if c.Happened {
			n++
		}
	}
	return float64(n) / float64(max(1, len(t.Cells)))
}

// Text returns the table for a terminal, with one line per fault and one column per call.
func (t *Table) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d calls, %d faults, %.0f %% of them harmed a call\n", t.Request, len(t.Points), len(t.Cells), 100*t.Coverage())
	var protocols []string
	for _, p := range t.Points {
		if !slices.Contains(protocols, p.Protocol) {
			protocols = append(protocols, p.Protocol)
		}
	}
	for _, protocol := range protocols {
		t.block(&b, protocol)
	}
	count := map[load.Meaning]int{}
	for _, c := range t.Cells {
		count[c.Means]++
	}
	b.WriteString("\n")
	for _, m := range load.Meanings() {
		fmt.Fprintf(&b, "%s %d  ", m, count[m])
	}
	b.WriteString("\n")
	for _, c := range t.Bad() {
		fmt.Fprintf(&b, "%s: %s, %s: %s (%s)\n", strings.ToUpper(string(c.Means)), c.Point, c.Fault, c.Outcome, c.Detail)
	}
	return b.String()
}

// block writes the part of the table about one protocol.
func (t *Table) block(b *strings.Builder, protocol string) {
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "\n%s", protocol)
	var points []Point
	for _, p := range t.Points {
		if p.Protocol == protocol {
			points = append(points, p)
			fmt.Fprintf(w, "\t%s", strings.TrimPrefix(p.String(), protocol+" "))
		}
	}
	fmt.Fprintln(w)
	var faults []string
	for _, c := range t.Cells {
		if c.Point.Protocol == protocol && !slices.Contains(faults, c.Fault) {
			faults = append(faults, c.Fault)
		}
	}
	for _, fault := range faults {
		fmt.Fprintf(w, "%s", fault)
		for _, p := range points {
			word := "-" // It can't happen to that call.
			for _, c := range t.Cells {
				if c.Point != p || c.Fault != fault {
					continue
				}
				word = string(c.Means)
				if !c.Happened {
					word = "(" + word + ")"
				}
			}
			fmt.Fprintf(w, "\t%s", word)
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush() // A strings.Builder takes everything.
}
