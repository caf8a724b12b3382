package scenario

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/backstay-go/backstay/chaos/load"
)

// Check is a bound on something that is measured.
type Check struct {
	Name    string `yaml:"name" doc:"the promise, in a few words"`
	Measure string `yaml:"measure" doc:"what is measured; see the list of measures"`
	Kind    string `yaml:"kind" doc:"only requests of this kind; default all"`
	// During is one of "before", "faults", "after", "all", or the name of a rule. Default:
	// faults.
	During  string        `yaml:"during" doc:"before, faults, after, all, or the name of a rule; default faults"`
	AtLeast *float64      `yaml:"at_least" doc:"not less than this"`
	AtMost  *float64      `yaml:"at_most" doc:"not more than this"`
	Within  time.Duration `yaml:"within" doc:"of p50, p95, p99 and max: not longer than this"`

	_ struct{}
}

// measures lists the words that a measure begins with, and what they mean. Some take one or
// two further words. To add a measure, add a row here and in docs/reference/scenario-file.md,
// and compute its value in result.measure.
var measures = []struct {
	word, takes, means string
	timed              bool
}{
	{"good", "", "share of requests that are served", false},
	{"right", "", "share of answers on live data", false},
	{"stale", "", "share of answers on older data that say so", false},
	{"provisional", "", "share of answers to be confirmed later", false},
	{"refused", "", "share of requests that were refused with a reason", false},
	{"wrong", "", "share of answers that are not true, or none at all", false},
	{"late", "", "share of answers after the deadline", false},
	{"outcome", "NAME", "share of requests with this outcome", false},
	{"source", "DEPENDENCY SOURCE", "share of answers that rest on this source of the dependency", false},
	{"offered", "", "requests per second", false},
	{"p50", "", "median latency", true},
	{"p95", "", "latency of 95 of 100 requests", true},
	{"p99", "", "latency of 99 of 100 requests", true},
	{"max", "", "the longest latency", true},
	{"amplification", "DEPENDENCY", "calls on the wire for each call that was asked for", false},
	{"attempts", "DEPENDENCY", "calls on the wire for each request", false},
	{"state", "DEPENDENCY STATE", "share of the time in the state, like open", false},
}

// Measures returns the measures as they are written in a scenario, each with its meaning.
func Measures() [][2]string {
	var all [][2]string
	for _, m := range measures {
		all = append(all, [2]string{strings.TrimSpace(m.word + " " + m.takes), m.means})
	}
	return all
}

// parseMeasure splits a measure into its word and what it names.
func parseMeasure(text string) (word string, names []string, timed bool, err error) {
	parts := strings.Fields(text)
	if len(parts) == 0 {
		return "", nil, false, fmt.Errorf("is missing; there are %s", measureWords())
	}
	for _, m := range measures {
		if m.word != parts[0] {
			continue
		}
		want := strings.Fields(m.takes)
		if len(parts)-1 != len(want) {
			return "", nil, false, fmt.Errorf("%q: write %q", text, strings.TrimSpace(m.word+" "+m.takes))
		}
		return m.word, parts[1:], m.timed, nil
	}
	return "", nil, false, fmt.Errorf("%q is none; there are %s", parts[0], measureWords())
}

func measureWords() string {
	var words []string
	for _, m := range measures {
		words = append(words, m.word)
	}
	return strings.Join(words, ", ")
}

// span is an interval of the run.
type span struct{ from, to time.Duration }

// samplesIn returns the samples that were meant to start in a span. If a kind is given, it
// returns only samples of that kind.
func samplesIn(all []load.Sample, in span, kind string) []load.Sample {
	var some []load.Sample
	for _, s := range all {
		if s.Intended >= in.from && s.Intended < in.to && (kind == "" || s.Kind == kind) {
			some = append(some, s)
		}
	}
	return some
}

// share returns the share of the samples that a measure counts.
func share(samples []load.Sample, word string, names []string) float64 {
	n := 0
	for _, s := range samples {
		yes := false
		switch word {
		case "good":
			yes = s.Good
		case "outcome":
			yes = s.Outcome == names[0]
		case "source":
			yes = s.Sources[names[0]] == names[1]
		default:
			yes = string(s.Means) == word
		}
		if yes {
			n++
		}
	}
	return float64(n) / float64(max(1, len(samples)))
}

// isShare reports whether a measure is a share of the samples.
func isShare(word string) bool {
	return slices.Contains([]string{"good", "outcome", "source"}, word) || slices.Contains(load.Meanings(), load.Meaning(word))
}

// measured is a value, its text, and the number of samples that it was computed from. The
// number is -1 if it was not computed from samples.
type measured struct {
	value float64
	text  string
	n     int
}

// measure measures something in a span of a run.
func (r *result) measure(text, kind string, in span) measured {
	word, names, timed, err := parseMeasure(text)
	if err != nil { // Check refuses such a scenario.
		return measured{text: err.Error()}
	}
	samples := samplesIn(r.load.Samples, in, kind)
	switch {
	case isShare(word):
		v := share(samples, word, names)
		return measured{v, fmt.Sprintf("%.1f %% of %d", 100*v, len(samples)), len(samples)}
	case timed:
		l := load.Quantiles(samples, nil)
		d := map[string]time.Duration{"p50": l.P50, "p95": l.P95, "p99": l.P99, "max": l.Max}[word]
		return measured{d.Seconds(), fmt.Sprintf("%s of %d", d.Round(time.Millisecond/10), len(samples)), len(samples)}
	case word == "offered":
		v := float64(len(samples)) / max(1e-9, (in.to-in.from).Seconds())
		return measured{v, fmt.Sprintf("%.1f/s", v), len(samples)}
	case word == "state":
		v := r.watch.share(names[0], names[1], in)
		return measured{v, fmt.Sprintf("%.1f %% of the time", 100*v), -1}
	}
	asked, sent := r.watch.counts(names[0], in)
	per := asked
	if word == "attempts" {
		per = uint64(len(samples))
	}
	v := float64(sent) / float64(max(1, per))
	return measured{v, fmt.Sprintf("%.2f (%d for %d)", v, sent, per), int(per)}
}
