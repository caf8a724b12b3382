package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/backstay-go/backstay/chaos/load"
)

// Verdict is the outcome of a check or of a run.
type Verdict string

// The verdicts.
const (
	// Passed: what was promised was observed.
	Passed Verdict = "passed"
	// Failed: something else was observed.
	Failed Verdict = "failed"
	// Undecided: the run can't decide, for example because the load never came.
	Undecided Verdict = "undecided"
)

// Check is one promise and what was observed of it.
type Check struct {
	Name string `json:"name"`
	// Precondition marks a check without which the run proves nothing. If it did not pass, the
	// run is undecided at best.
	Precondition bool `json:"precondition,omitempty"`
	// Promised is what was promised, in one sentence. Seen is what was observed, with the
	// figures. Bound is the limit to which Seen is compared, in a few words such as "at least
	// 30 %". It is empty if there is no figure.
	Promised string `json:"promised"`
	Seen     string `json:"seen"`
	Bound    string `json:"bound,omitempty"`
	// Value is the figure in Seen, as a number, with its Unit: share (0 to 1), s, ratio or
	// per_second. AtLeast and AtMost are the limits. Count is the number of requests behind it.
	Value   *float64 `json:"value,omitempty"`
	Unit    string   `json:"unit,omitempty"`
	AtLeast *float64 `json:"at_least,omitempty"`
	AtMost  *float64 `json:"at_most,omitempty"`
	Count   int      `json:"count,omitempty"`
	Verdict Verdict  `json:"verdict"`
	// Details lists the first cases that broke the promise.
	Details []string `json:"details,omitempty"`
}

// Fault is one fault on the timeline. Times count from the run's start.
type Fault struct {
	// Target is where the fault happened: a dependency, or a node of one. What is what it did.
	Target string        `json:"target"`
	What   string        `json:"what"`
	From   time.Duration `json:"from_ns"`
	To     time.Duration `json:"to_ns"`
	// Dependency is the dependency that it harmed. Empty: several, or none.
	Dependency string `json:"dependency,omitempty"`
	// Name is the fault's name in the scenario. ByHand says that a person injected it during
	// the run.
	Name   string `json:"name,omitempty"`
	ByHand bool   `json:"by_hand,omitempty"`
	// Expected says what is meant to be bad while it lasts.
	Expected string `json:"expected,omitempty"`
	// Effect is what users saw while it lasted. Nil: it is not known.
	Effect *Effect `json:"effect,omitempty"`
}

// Effect is what users saw of a fault.
type Effect struct {
	// Requests is how many requests were meant to start while the fault lasted, and Served how
	// many of them were served.
	Requests int `json:"requests"`
	Served   int `json:"served"`
	// Outcomes counts the requests by outcome.
	Outcomes map[string]int `json:"outcomes"`
	// StoodIn counts, by source, the answers that were decided on data of the harmed dependency
	// that were not live. Live counts those on live data.
	StoodIn map[string]int `json:"stood_in,omitempty"`
	Live    int            `json:"live"`
	// Slowest is the latency of the slowest request.
	Slowest time.Duration `json:"slowest_ns"`
	// Back is the time from the fault's end until requests were served as before. It is -1 if
	// that was not seen before the next fault or the end of the run.
	Back time.Duration `json:"back_ns"`
}

// Span is an interval of time in one state.
type Span struct {
	State string        `json:"state"`
	From  time.Duration `json:"from_ns"`
	To    time.Duration `json:"to_ns"`
	// Note is shown when the pointer is on the span.
	Note string `json:"note,omitempty"`
}

// Lane holds the states of one thing over time.
type Lane struct {
	Name  string `json:"name"`
	Spans []Span `json:"spans"`
}

// Tone is the meaning of a value. It decides the colour.
type Tone string

// The tones.
const (
	Good    Tone = "good"
	Degrade Tone = "degraded"
	Refuse  Tone = "refused"
	Bad     Tone = "bad"
	Neutral Tone = "neutral"
)

// Figure is a number that the page shows on a line.
type Figure struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	Note  string `json:"note,omitempty"`
}

// Row is one line of the table by kind of request.
type Row struct {
	Kind     string         `json:"kind"`
	Outcomes map[string]int `json:"outcomes"`
	Good     int            `json:"good"`
	Latency  load.Latencies `json:"latency"`
}

// Report describes a run. Fill it in, then call Decide, then write it. It is not safe for
// concurrent use.
type Report struct {
	// Name is a short name of the run. Title is one line.
	Name  string `json:"name,omitempty"`
	Title string `json:"title"`
	// Story describes in a few sentences what was done.
	Story string `json:"story"`
	// Command is the command that repeats the run. Source is the scenario as text.
	Command string `json:"command"`
	Source  string `json:"source,omitempty"`
	Seed    uint64 `json:"seed"`
	// Version is the build of the toolkit that made the report. Environment is the machine.
	Version     string        `json:"version"`
	Environment Environment   `json:"environment"`
	Started     time.Time     `json:"started"`
	Length      time.Duration `json:"length_ns"`
	Verdict     Verdict       `json:"verdict"`
	Figures     []Figure      `json:"figures"`
	// Metrics holds the figures of the run by name, for comparisons. Times are in seconds.
	Metrics map[string]float64 `json:"metrics,omitempty"`
	// Latencies holds the latencies of all requests, of those during the faults, and of those
	// after the faults, for comparisons.
	Latencies map[string]Latencies `json:"latencies,omitempty"`
	Checks    []Check              `json:"checks"`
	Faults    []Fault              `json:"faults"`
	// Width is the width of a bucket.
	Width   time.Duration `json:"bucket_ns"`
	Buckets []load.Bucket `json:"buckets"`
	// Lanes holds breaker states and other states over time.
	Lanes []Lane `json:"lanes"`
	// Permits holds the highest number of permits in use in each bucket.
	Permits []Series `json:"permits,omitempty"`
	// TraceURL is the address at which a trace is shown, with {trace} for its id. Empty: the page
	// has no links to traces.
	TraceURL string `json:"trace_url,omitempty"`
	// Traces holds the traces that are worth opening.
	Traces []Trace `json:"traces,omitempty"`
	Rows   []Row   `json:"rows"`
	// Outcomes and Sources name the values that occur in buckets, with their tones, in the
	// order in which they are stacked.
	Outcomes []Value `json:"outcomes"`
	Sources  []Value `json:"sources"`
	// Dependencies lists the dependencies that occur in the buckets' sources, in order.
	Dependencies []string `json:"dependencies"`
}

// Series is a number over time, with one point per bucket.
type Series struct {
	Name   string    `json:"name"`
	Points []float64 `json:"points"`
	// Limit is the highest possible value. 0: it is not known.
	Limit float64 `json:"limit,omitempty"`
}

// Trace is a request whose trace is worth opening.
type Trace struct {
	Request string        `json:"request"`
	Trace   string        `json:"trace,omitempty"`
	Kind    string        `json:"kind"`
	Outcome string        `json:"outcome"`
	Why     string        `json:"why"`
	At      time.Duration `json:"at_ns"`
	Took    time.Duration `json:"took_ns"`
}

// Value is a value that occurs, and its tone.
type Value struct {
	Name string `json:"name"`
	Tone Tone   `json:"tone"`
}

// Decide sets the verdict from the checks. The verdict is undecided if there is no check, or
// if a precondition did not pass; otherwise failed if any check failed; otherwise undecided if
// any check is; otherwise passed.
func (r *Report) Decide() Verdict {
	r.Verdict = Passed
	if len(r.Checks) == 0 {
		r.Verdict = Undecided
	}
	for _, c := range r.Checks {
		switch {
		case c.Precondition && c.Verdict != Passed:
			r.Verdict = Undecided
			return r.Verdict
		case c.Verdict == Failed:
			r.Verdict = Failed
		case c.Verdict != Passed && r.Verdict == Passed:
			r.Verdict = Undecided
		}
	}
	return r.Verdict
}

// RowsOf makes the table by kind of request from the samples. The kinds keep their order.
func RowsOf(samples []load.Sample, kinds []string) []Row {
	var rows []Row
	for _, kind := range kinds {
		row := Row{Kind: kind, Outcomes: map[string]int{}}
		for _, s := range samples {
			if s.Kind != kind {
				continue
			}
			row.Outcomes[s.Outcome]++
			if s.Good {
				row.Good++
			}
		}
		row.Latency = load.Quantiles(samples, func(s load.Sample) bool { return s.Kind == kind })
		rows = append(rows, row)
	}
	return rows
}

// WriteJSON writes the report as indented JSON.
func (r *Report) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// ReadJSON reads a report that WriteJSON wrote.
func ReadJSON(file string) (*Report, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	r := &Report{}
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("report: %s is no report in JSON: %w; give the .json file next to the page", file, err)
	}
	if r.Title == "" || r.Verdict == "" {
		return nil, fmt.Errorf("report: %s is no report: it has no title or no verdict", file)
	}
	return r, nil
}

// Text returns the run for a terminal: what was broken and what users saw of it, then one line
// per check, with what was observed and the bound, and below it the first cases that broke the
// promise. Checks that failed come first.
func (r *Report) Text() string {
	width := 0
	for _, c := range r.Checks {
		width = max(width, utf8.RuneCountInString(c.Name))
	}
	var b strings.Builder
	if broken := r.text(); broken != "" {
		b.WriteString(broken + "\n")
	}
	for _, c := range r.Sorted() {
		seen := c.Seen
		if c.Bound != "" {
			seen += " (bound: " + c.Bound + ")"
		}
		fmt.Fprintf(&b, "%-9s  %-*s  %s\n", strings.ToUpper(string(c.Verdict)), width, c.Name, seen)
		for _, d := range c.Details {
			fmt.Fprintf(&b, "             %s\n", d)
		}
	}
	return b.String()
}

// Writable returns nil if reports can be saved in the folder, which it makes if necessary.
// Call it before a run, so that its results are not lost.
func Writable(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return unwritable(err)
	}
	f, err := os.CreateTemp(dir, ".report.*")
	if err != nil {
		return unwritable(err)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

func unwritable(err error) error {
	return fmt.Errorf("report: %w; give a folder that can be written", err)
}

// Save writes name.html, name.json and name.xml (JUnit) into the folder, which it makes if
// necessary. Each file is written completely or not at all. It returns the path of the page.
func (r *Report) Save(dir, name string) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", unwritable(err)
	}
	page := filepath.Join(dir, name+".html")
	return page, errors.Join(
		replace(filepath.Join(dir, name+".json"), r.WriteJSON),
		replace(filepath.Join(dir, name+".xml"), r.WriteJUnit),
		replace(page, r.WriteHTML),
	)
}

func replace(path string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return unwritable(err)
	}
	err = write(f)
	if err == nil {
		err = f.Chmod(0o644)
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("report: %s: %w", path, err), os.Remove(f.Name()))
	}
	return nil
}
