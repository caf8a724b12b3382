package simulate

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/backstay-go/backstay/internal/plural"
)

// WriteText writes the report as tables for a terminal.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	for i, d := range r.Dependencies {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "%s: %s in %s, %s\n", d.Name, several(d.Recorded.Calls, "call"), short(r.Length), r.how())
		fmt.Fprintf(&b, "%-26s%12s%12s\n", "", "recorded", "replayed")
		for _, row := range d.rows() {
			if row.Group {
				b.WriteString("\n")
			}
			fmt.Fprintf(&b, "%-26s%12s%12s\n", row.Name, row.Recorded, row.Replayed)
		}
		if len(d.Operations) > 1 {
			fmt.Fprintf(&b, "\n%-18s%20s%20s%20s\n", "By operation", "calls", "answered", "attempts")
			for _, o := range d.Operations {
				fmt.Fprintf(&b, "%-18s%20s%20s%20s\n", o.Name, o.CallsText(), count(o.Recorded.Answered)+" -> "+count(o.Replayed.Answered), count(o.Recorded.Attempts)+" -> "+count(o.Replayed.Attempts))
			}
		}
		if len(d.Changes) > 0 {
			b.WriteString("\nWhat became of whom:\n")
			for _, c := range d.Changes {
				fmt.Fprintf(&b, "  %7s  %s -> %s\n", count(c.Calls), c.From, c.To)
			}
		}
		b.WriteString("\n" + d.Drawn.String() + "\n")
		for _, n := range d.Notes {
			b.WriteString(n + "\n")
		}
	}
	for _, n := range r.notes() {
		b.WriteString(n + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// how says which options decide the replay, in addition to the record and the policy.
func (r *Report) how() string {
	text := fmt.Sprintf("seed %d", r.Seed)
	if r.Load != 1 {
		text += fmt.Sprintf(", %v times the load", r.Load)
	}
	if r.Workers > 0 {
		text += ", " + several(r.Workers, "worker")
	}
	return text
}

// CallsText says how many calls the record has, and how many the replay made if that is
// another number.
func (o Operation) CallsText() string {
	if o.Recorded.Calls == o.Replayed.Calls {
		return count(o.Recorded.Calls)
	}
	return count(o.Recorded.Calls) + " -> " + count(o.Replayed.Calls)
}

// notes says which parts of the record were not replayed.
func (r *Report) notes() []string {
	var notes []string
	if r.Dropped > 0 {
		notes = append(notes, fmt.Sprintf("The record lacks %s: the load was higher than it shows.", several(int(r.Dropped), "call")))
	}
	for _, name := range slices.Sorted(maps.Keys(r.Skipped)) {
		notes = append(notes, fmt.Sprintf("Calls to %s were left out (%s): there is no policy of that name.", name, count(r.Skipped[name])))
	}
	return notes
}

// String says where the attempts got their behaviour from.
func (d Drawn) String() string {
	text := fmt.Sprintf("Of %s in the replay %s did as recorded, %s as others within %v, %s as others further away.",
		several(d.Own+d.Near+d.Far, "attempt"), count(d.Own), count(d.Near), far, count(d.Far))
	if d.Continued+d.Unanswered > 0 {
		text += fmt.Sprintf("\nOf those cut off in the record %s went on as longer ones nearby, %s had none and were never answered.", count(d.Continued), count(d.Unanswered))
	}
	return text
}

// row is one line of the comparison.
type row struct {
	Name               string
	Recorded, Replayed string
	// Group begins a new group of rows.
	Group bool
}

// rows returns the lines of the comparison. A figure that is zero on both sides is left out.
func (d Dependency) rows() []row {
	a, b := d.Recorded, d.Replayed
	var rows []row
	numbers := func(name string, group bool, x, y int) {
		if x != 0 || y != 0 {
			rows = append(rows, row{name, count(x), count(y), group})
		}
	}
	if a.Calls != b.Calls {
		numbers("calls", false, a.Calls, b.Calls)
	}
	for _, o := range outcomes {
		numbers(string(o), false, a.Outcomes[o], b.Outcomes[o])
	}
	numbers("answered", true, a.Answered, b.Answered)
	numbers("  live and in time", false, a.InTime, b.InTime)
	numbers("attempts", true, a.Attempts, b.Attempts)
	numbers("  retries", false, a.Retries, b.Retries)
	numbers("  hedges", false, a.Hedges, b.Hedges)
	numbers("  cut off", false, a.CutOff, b.CutOff)
	texts := func(name, x, y string) { rows = append(rows, row{name, x, y, false}) }
	texts("attempts per call", fmt.Sprintf("%.2f", a.Amplification), fmt.Sprintf("%.2f", b.Amplification))
	texts("most attempts per second", fmt.Sprintf("%.0f", a.PeakPerSecond), fmt.Sprintf("%.0f", b.PeakPerSecond))
	texts("most running at once", count(a.PeakRunning), count(b.PeakRunning))
	rows = append(rows, row{"latency, median", short(a.Latency.P50), short(b.Latency.P50), true})
	texts("  90 %", short(a.Latency.P90), short(b.Latency.P90))
	texts("  99 %", short(a.Latency.P99), short(b.Latency.P99))
	texts("  longest", short(a.Latency.Max), short(b.Latency.Max))
	return rows
}

// several writes a number with its noun.
func several(n int, noun string) string {
	return count(n) + " " + plural.Noun(n, noun)
}

// count writes a number with separators between its thousands.
func count(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// short writes a duration with three digits.
func short(d time.Duration) string {
	for unit := time.Duration(1); unit < 1000*time.Second; unit *= 10 {
		if d < 1000*unit {
			return d.Round(unit).String()
		}
	}
	return d.Round(time.Second).String()
}
