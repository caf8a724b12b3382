package resilience

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// namedError is an error that code has named for policies.
type namedError struct {
	name    string
	matches func(error) bool
}

// WithError names the errors that match target (errors.Is), so that Policy.Errors can say
// what they mean. Each name is given once. It is for New.
func WithError(name string, target error) Option {
	if target == nil {
		return WithErrorFunc(name, nil)
	}
	return WithErrorFunc(name, func(err error) bool { return errors.Is(err, target) })
}

// WithErrorFunc names the errors for which matches reports true, as WithError does.
// Matches is called as a Classifier is, and must be safe for concurrent use; a panic in it
// is the call's panic.
func WithErrorFunc(name string, matches func(error) bool) Option {
	return func(o *options) { o.names = append(o.names, namedError{name, matches}) }
}

// errorNames are the errors that code has named for one guard. They are read only.
type errorNames map[string]func(error) bool

// nameErrors collects the names, or says what is wrong with one.
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

// check refuses the names in a policy that code has not given.
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

// of are the errors that a policy names, once check has found nothing.
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

// namedErrors are the errors that a policy in force names. They are read only.
type namedErrors struct{ failure, ignored []func(error) bool }

// judge is what an error means according to its name; false if it has none here.
func (e *namedErrors) judge(err error) (v Verdict, ok bool) {
	for _, matches := range e.failure {
		if matches(err) {
			return Verdict{Outcome: Failure}, true
		}
	}
	for _, matches := range e.ignored {
		if matches(err) {
			return Verdict{Outcome: Ignored, Repeat: RepeatNever}, true
		}
	}
	return v, false
}

// errors checks the names by themselves; which of them there are is known to a guard only.
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
