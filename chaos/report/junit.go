package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

type junitSuite struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Time     string      `xml:"time,attr"`
	Stamp    string      `xml:"timestamp,attr"`
	Cases    []junitCase `xml:"testcase"`
	Out      string      `xml:"system-out"`
}

type junitCase struct {
	Class   string    `xml:"classname,attr"`
	Name    string    `xml:"name,attr"`
	Failure *junitWhy `xml:"failure,omitempty"`
	Error   *junitWhy `xml:"error,omitempty"`
}

type junitWhy struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// WriteJUnit writes the checks as a JUnit test suite: a check that failed is a failure;
// one that is undecided, or a precondition that did not hold, is an error.
func (r *Report) WriteJUnit(w io.Writer) error {
	name := r.Name
	if name == "" {
		name = r.Title
	}
	s := junitSuite{Name: name, Tests: len(r.Checks), Time: fmt.Sprintf("%.3f", r.Length.Seconds()), Stamp: r.Started.UTC().Format("2006-01-02T15:04:05"),
		Out: fmt.Sprintf("verdict %s, seed %d; run it again: %s\n", r.Verdict, r.Seed, r.Command)}
	for _, c := range r.Checks {
		one := junitCase{Class: "scenario." + name, Name: c.Name}
		why := &junitWhy{Message: c.Seen, Text: strings.Join(append([]string{"promised: " + c.Promised, "seen: " + c.Seen}, c.Details...), "\n")}
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
