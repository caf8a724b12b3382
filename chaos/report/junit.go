package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// The report has all elements and attributes that the schema of Ant's JUnit task requires, in
// its order. The schema of Jenkins allows them too.
type junitSuite struct {
	XMLName    xml.Name        `xml:"testsuite"`
	Name       string          `xml:"name,attr"`
	Stamp      string          `xml:"timestamp,attr"`
	Host       string          `xml:"hostname,attr"`
	Tests      int             `xml:"tests,attr"`
	Failures   int             `xml:"failures,attr"`
	Errors     int             `xml:"errors,attr"`
	Time       string          `xml:"time,attr"`
	Properties []junitProperty `xml:"properties>property"`
	Cases      []junitCase     `xml:"testcase"`
	Out        string          `xml:"system-out"`
	Err        string          `xml:"system-err"`
}

type junitProperty struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

type junitCase struct {
	Name    string    `xml:"name,attr"`
	Class   string    `xml:"classname,attr"`
	Time    string    `xml:"time,attr"`
	Error   *junitWhy `xml:"error,omitempty"`
	Failure *junitWhy `xml:"failure,omitempty"`
}

type junitWhy struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr"`
	Text    string `xml:",chardata"`
}

// WriteJUnit writes the checks as a JUnit test suite. A check that failed is a failure. An
// undecided check, or a precondition that did not hold, is an error. A check has no duration;
// that of the suite is the duration of the run. The host is always "localhost", so that two
// reports of the same run are equal.
func (r *Report) WriteJUnit(w io.Writer) error {
	name := r.Name
	if name == "" {
		name = r.Title
	}
	s := junitSuite{Name: name, Host: "localhost", Tests: len(r.Checks), Time: fmt.Sprintf("%.3f", r.Length.Seconds()), Stamp: r.Started.UTC().Format("2006-01-02T15:04:05"),
		Properties: []junitProperty{{"verdict", string(r.Verdict)}, {"seed", fmt.Sprint(r.Seed)}, {"command", r.Command}, {"version", r.Version}},
		Out:        fmt.Sprintf("verdict %s, seed %d; run it again: %s\n", r.Verdict, r.Seed, r.Command)}
	for _, c := range r.Checks {
		one := junitCase{Class: "scenario." + name, Name: c.Name, Time: "0"}
		why := &junitWhy{Message: c.Seen, Type: string(c.Verdict), Text: strings.Join(append([]string{"promised: " + c.Promised, "seen: " + c.Seen}, c.Details...), "\n")}
		switch {
		case c.Verdict == Passed:
		case c.Verdict == Failed && !c.Precondition:
			one.Failure = why
			s.Failures++
		default:
			one.Error = why
			s.Errors++
		}
		s.Cases = append(s.Cases, one)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(s); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}
