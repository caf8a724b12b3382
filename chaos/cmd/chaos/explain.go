package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/internal/strictyaml"
)

// width is how many characters a drawn timeline has.
const width = 60

// explain prints a plan as sentences that say what happens when and to whom, and as a
// timeline drawn to scale.
func explain(p chaos.Plan, out io.Writer) {
	if p.Name != "" {
		fmt.Fprintln(out, p.Name)
	}
	noun := "rules"
	if len(p.Rules) == 1 {
		noun = "rule"
	}
	fmt.Fprintf(out, "seed %d, %d %s, over after %s\n\n", p.Seed, len(p.Rules), noun, p.End())
	for i := range p.Rules {
		fmt.Fprintf(out, "  %s\n", sentence(p, i))
	}
	if len(p.Rules) == 0 {
		return
	}
	fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for i := range p.Rules {
		from, to := p.Window(i)
		fmt.Fprintf(w, "  %s\t%s\n", p.RuleName(i), bar(from, to, p.End()))
	}
	fmt.Fprintf(w, "  \t0%*s\n", width-1, p.End().String())
	// An error of writing the output can't be printed either.
	_ = w.Flush()
}

func bar(from, to, end time.Duration) string {
	at := func(d time.Duration) int { return int(int64(width) * int64(d) / int64(max(end, 1))) }
	a, b := at(from), max(at(to), at(from)+1)
	return strings.Repeat(".", a) + strings.Repeat("#", b-a) + strings.Repeat(".", max(0, width-b))
}

// delays are the words before a delay.
var delays = map[chaos.Kind]string{
	chaos.Latency: " by ", chaos.SlowAccept: " by ", chaos.SlowClose: " by ", chaos.Reset: " after ", chaos.Blackhole: " and closes after ",
	chaos.PauseReads: " for ", chaos.SlowBody: " with pauses of ", chaos.EndlessBody: " with pauses of ", chaos.Slice: " with pauses of ",
}

// sentence returns one rule in words.
func sentence(p chaos.Plan, i int) string {
	r := p.Rules[i]
	from, to := p.Window(i)
	who := r.Where.Dependency
	if who == "" {
		who = "every dependency"
	}
	who += among(r.Where)
	info, _ := r.What.Kind.Info()
	text := fmt.Sprintf("from %s to %s %s %s", from, to, who, info.Does)
	if len(r.What.Peers) > 0 {
		text += " from " + strings.Join(r.What.Peers, ", ")
	}
	if r.What.Code != "" {
		text += " " + r.What.Code
	}
	if r.What.Status > 0 {
		text += fmt.Sprintf(" %d", r.What.Status)
	}
	if r.What.At == "after" {
		text += ", once it was carried out"
	}
	if r.What.Delay > 0 {
		text += delays[r.What.Kind] + r.What.Delay.String()
		if r.What.Jitter > 0 {
			text += fmt.Sprintf(" ± %s", r.What.Jitter)
		}
	}
	text += further(r.What)
	if r.When.RepeatEvery > 0 {
		text += fmt.Sprintf(", %s of every %s", r.When.RepeatFor, r.When.RepeatEvery)
	}
	if r.When.Ramp > 0 {
		text += fmt.Sprintf(", more and more for %s", r.When.Ramp)
	}
	text += calls(r.When)
	if q := r.Often.Probability; q != nil {
		text += fmt.Sprintf(", with a chance of %g %%", 100**q)
	}
	if r.Often.Count > 0 {
		text += fmt.Sprintf(", at most %d times", r.Often.Count)
	}
	if r.Whom.Scope != "" {
		text += fmt.Sprintf(", for requests of scope %s only", r.Whom.Scope)
	}
	if places := r.Places(); r.Where.Protocol == "" && len(places) < len(info.Places) {
		text += fmt.Sprintf("; over %s only, as its parameters mean nothing elsewhere", strings.Join(places, ", "))
	}
	return text + "."
}

// further returns the parameters that the sentence does not describe, as the plan has them.
func further(w chaos.What) string {
	// Those that are described differently.
	w.Kind, w.Peers, w.Code, w.At, w.Status = "", nil, "", "", 0
	if w.Delay > 0 {
		w.Delay, w.Jitter = 0, 0
	}
	words := strings.Fields(strictyaml.Encode(&w))
	if len(words) == 0 {
		return ""
	}
	return " [" + strings.Join(words, " ") + "]"
}

// among returns a note in brackets that says which calls of a dependency are meant.
func among(w chaos.Where) string {
	var parts []string
	for _, part := range []struct{ word, value string }{
		{"over", w.Protocol}, {"operation", w.Operation}, {"node", w.Node}, {"method", w.Method}, {"path", w.Path},
		{"keyspace", w.Keyspace}, {"table", w.Table}, {"statement", w.Statement}, {"at", w.Consistency},
	} {
		if part.value != "" {
			parts = append(parts, part.word+" "+part.value)
		}
	}
	if w.Conditional != nil {
		parts = append(parts, map[bool]string{true: "with IF", false: "without IF"}[*w.Conditional])
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

// calls says which calls by number are meant.
func calls(w chaos.When) string {
	noun := "call"
	if w.Per == chaos.PerRequest {
		noun = "attempt of a request"
	}
	text := ""
	for _, part := range []struct {
		n    int
		word string
	}{{w.Nth, ", only %s %d"}, {w.First, ", only up to %s %d"}, {w.After, ", only after %s %d"}, {w.Every, ", only each %s whose number is a multiple of %d"}} {
		if part.n > 0 {
			text += fmt.Sprintf(part.word, noun, part.n)
		}
	}
	return text
}
