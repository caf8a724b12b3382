package resilience

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// namedError is an error to which the program has given a name for use in policies.
type namedError struct {
	name    string
	matches func(error) bool
}

// WithError gives a name to the errors that match target (errors.Is), so that
// Policy.Errors can state what they mean. Each name may be given only once. Pass the
// option to New.
func WithError(name string, target error) Option {
	if target == nil {
		return WithErrorFunc(name, nil)
	}
	return WithErrorFunc(name, func(err error) bool { return errors.Is(err, target) })
}

// WithErrorFunc gives a name to the errors for which matches reports true, as WithError
// does for a target. matches is called as a Classifier is and must be safe for
// concurrent use; a panic in it counts as the call's panic.
func WithErrorFunc(name string, matches func(error) bool) Option {
	return func(o *options) { o.names = append(o.names, namedError{name, matches}) }
}

// errorNames are the errors that were named for one guard. They are never changed.
type errorNames map[string]func(error) bool

// nameErrors collects the names, or returns what is wrong with one of them.
func nameErrors(dependency string, all []namedError) (errorNames, error) {
	names := errorNames{}
	for _, e := range all {
		problem := ""
		switch {
		case e.name == "":
			problem = "is empty; policies need one"
		case e.matches == nil:
			problem = "stands for nil; name an error or a function"
		case names[e.name] != nil:
			problem = "is given twice; use one name for each kind of error"
		}
		if problem != "" {
			return nil, fmt.Errorf("%w %q: the name of an error, %q, %s", ErrPolicy, dependency, e.name, problem)
		}
		names[e.name] = e.matches
	}
	return names, nil
}

// check refuses names in a policy that no option has defined.
func (n errorNames) check(p Policy) error {
	if p.Errors == nil {
		return nil
	}
	known := "the program names none (WithError)"
	if len(n) > 0 {
		names := make([]string, 0, len(n))
		for name := range n {
			names = append(names, name)
		}
		slices.Sort(names)
		known = "there are: " + strings.Join(names, ", ")
	}
	c := checker{}
	p.Errors.each(func(field, name string) {
		if n[name] == nil {
			c.err(field, fmt.Sprintf("has %q, which names no error of this guard", name), known)
		}
	})
	if len(c.findings) > 0 {
		return &PolicyError{Dependency: p.Name, Findings: c.findings}
	}
	return nil
}

// of returns the errors that a policy names, once check has found nothing.
func (n errorNames) of(p *ErrorsPolicy) (e namedErrors) {
	if p == nil {
		return e
	}
	for _, name := range p.Failure {
		e.failure = append(e.failure, n[name])
	}
	for _, name := range p.Ignored {
		e.ignored = append(e.ignored, n[name])
	}
	return e
}

// namedErrors are the errors that a policy in force names. They are never changed.
type namedErrors struct{ failure, ignored []func(error) bool }

// judge returns the verdict on an error according to its name; false if it has none
// here. A name says what counts. Whether the error may be repeated, and when, the
// classifier says, because only it knows what is safe.
func (e *namedErrors) judge(err error, classify Classifier) (v Verdict, ok bool) {
	for _, matches := range e.failure {
		if matches(err) {
			own := classify(err)
			return Verdict{Outcome: Failure, Repeat: own.Repeat, After: own.After}, true
		}
	}
	for _, matches := range e.ignored {
		if matches(err) {
			return Verdict{Outcome: Ignored, Repeat: RepeatNever}, true
		}
	}
	return v, false
}

// errors checks the names by themselves. Only a guard knows which names exist.
func (c *checker) errors(e ErrorsPolicy) {
	first := map[string]string{}
	e.each(func(field, name string) {
		switch {
		case name == "":
			c.err(field, "has an empty name", "use the name that the program gave an error (WithError)")
		case first[name] != "":
			c.err(field, fmt.Sprintf("has %q, which errors.%s has too", name, first[name]), "name it once")
		}
		first[name] = strings.TrimPrefix(field, "errors.")
	})
}

// each calls f for all names in the order of the fields.
func (e ErrorsPolicy) each(f func(field, name string)) {
	for _, name := range e.Failure {
		f("errors.failure", name)
	}
	for _, name := range e.Ignored {
		f("errors.ignored", name)
	}
}
