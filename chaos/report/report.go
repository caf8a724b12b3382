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
	// Passed: what was promised was seen.
	Passed Verdict = "passed"
	// Failed: something else was seen.
	Failed Verdict = "failed"
	// Undecided: the run can't tell, for example because the load never came.
	Undecided Verdict = "undecided"
)

// Check is one promise and what was seen of it.
type Check struct {
	Name string `json:"name"`
	// Precondition says that without this the run proves nothing: if it did not
	// pass, the run is undecided at best.
	Precondition bool `json:"precondition,omitempty"`
	// Promised is what was promised, in one sentence. Seen is what was seen, with
	// the figures. Bound is what Seen is held against, in a few words such as "at least
	// 30 %"; empty if there is no figure.
	Promised string  `json:"promised"`
	Seen     string  `json:"seen"`
	Bound    string  `json:"bound,omitempty"`
	Verdict  Verdict `json:"verdict"`
	// Details are the first cases that broke the promise.
	Details []string `json:"details,omitempty"`
}

// Fault is one fault on the timeline. Times count from the run's start.
type Fault struct {
	// Target is what was harmed, What is how.
	Target string        `json:"target"`
	What   string        `json:"what"`
	From   time.Duration `json:"from_ns"`
	To     time.Duration `json:"to_ns"`
}

// Span is a stretch of time in one state.
type Span struct {
	State string        `json:"state"`
	From  time.Duration `json:"from_ns"`
	To    time.Duration `json:"to_ns"`
	// Note is shown when the span is pointed at.
	Note string `json:"note,omitempty"`
}

// Lane is the states of one thing over time.
type Lane struct {
	Name  string `json:"name"`
	Spans []Span `json:"spans"`
}

// Tone says how a value is meant: it decides the colour.
type Tone string

// The tones.
const (
	Good    Tone = "good"
	Degrade Tone = "degraded"
	Refuse  Tone = "refused"
	Bad     Tone = "bad"
	Neutral Tone = "neutral"
)

// Figure is one number worth a line.
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
	// Name is a word for the run, Title a line.
	Name  string `json:"name,omitempty"`
	Title string `json:"title"`
	// Story says in a few sentences what was done.
	Story string `json:"story"`
	// Command runs it again; Source is the scenario as text.
	Command string        `json:"command"`
	Source  string        `json:"source,omitempty"`
	Seed    uint64        `json:"seed"`
	Started time.Time     `json:"started"`
	Length  time.Duration `json:"length_ns"`
	Verdict Verdict       `json:"verdict"`
	Figures []Figure      `json:"figures"`
	// Metrics are the run in numbers, by name, for comparisons. Times are in seconds.
	Metrics map[string]float64 `json:"metrics,omitempty"`
	// Latencies are those of all requests, and of those during the faults and after them,
	// for comparisons.
	Latencies map[string]Latencies `json:"latencies,omitempty"`
	Checks    []Check              `json:"checks"`
	Faults    []Fault              `json:"faults"`
	// Width is that of a bucket.
	Width   time.Duration `json:"bucket_ns"`
	Buckets []load.Bucket `json:"buckets"`
	// Lanes are breaker states and the like.
	Lanes []Lane `json:"lanes"`
	// Permits are those in use, at most, bucket by bucket.
	Permits []Series `json:"permits,omitempty"`
	// Traces are those worth opening.
	Traces []Trace `json:"traces,omitempty"`
	Rows   []Row   `json:"rows"`
	// Outcomes and Sources name the values that occur in buckets, in the order in
	// which they are stacked, with their tones.
	Outcomes []Value `json:"outcomes"`
	Sources  []Value `json:"sources"`
	// Dependencies are the first words of the buckets' sources, in order.
	Dependencies []string `json:"dependencies"`
}

// Series is a number over time, a point a bucket.
type Series struct {
	Name   string    `json:"name"`
	Points []float64 `json:"points"`
	// Limit is the most that it can be; 0: not known.
	Limit float64 `json:"limit,omitempty"`
}

// Trace is a request that is worth a look.
type Trace struct {
	Request string        `json:"request"`
	Trace   string        `json:"trace,omitempty"`
	Kind    string        `json:"kind"`
	Outcome string        `json:"outcome"`
	Why     string        `json:"why"`
	At      time.Duration `json:"at_ns"`
	Took    time.Duration `json:"took_ns"`
}

// Value is a value that occurs, and how it is meant.
type Value struct {
	Name string `json:"name"`
	Tone Tone   `json:"tone"`
}

// Decide sets the verdict from the checks: undecided if there is none, or a
// precondition did not pass; else failed if any failed; else undecided if any is;
// else passed.
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

// RowsOf makes the table by kind of request from the samples, kinds in the order
// given.
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

// ReadJSON reads what WriteJSON wrote.
func ReadJSON(file string) (*Report, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	r := &Report{}
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("report: %s is no report in JSON: %w; give the .json file beside the page", file, err)
	}
	if r.Title == "" || r.Verdict == "" {
		return nil, fmt.Errorf("report: %s is no report: it has no title or no verdict", file)
	}
	return r, nil
}

// Text is the checks, for a terminal: a line for each, with what was seen and the bound
// that it was held against, and the first cases that broke it below.
func (r *Report) Text() string {
	width := 0
	for _, c := range r.Checks {
		width = max(width, utf8.RuneCountInString(c.Name))
	}
	var b strings.Builder
	for _, c := range r.Checks {
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

// Save writes name.html, name.json and name.xml (JUnit) into the folder, which it makes
// if need be. Each file is whole or not there. It returns the page's path.
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
