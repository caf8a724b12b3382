package policyfile

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/backstay-go/backstay/internal/strictyaml"
	"github.com/backstay-go/backstay/resilience"
)

// prefix is what the variables that override fields of guards begin with.
const prefix = "BACKSTAY_POLICY_"

// Policies are a file's policies, by guard.
type Policies map[string]resilience.Policy

// Config says how a policy file is read and used. The zero value reads guards, without the
// environment.
type Config struct {
	// Environ are lines as os.Environ returns them. Those of a section's prefix override fields;
	// see the package comment. Nil: nothing is overridden.
	Environ []string
	// Sections are the parts of the file that others read, as pointers to a Section. They are
	// checked together with the guards: if one part is bad, nothing changes anywhere.
	Sections []Part
	// Check finds what a program needs of the policies beyond what every program does, such as
	// operations that must be there. A problem's Field is the path in the file, such as
	// guards.catalog.operations; the place is filled in. It sees policies that are valid in
	// themselves. Nil: nothing is checked further.
	Check func(Policies) []Problem
	// Own are what the program made itself, by the names of guards: guards, or what keeps some.
	// The file's policies are put in force on them, and Close leaves them open. One that the file
	// does not have keeps its policy. Open only.
	Own map[string]Updater
	// Options are the options of each guard that the set makes, by its name. Nil: none. Open only.
	Options func(guard string) []resilience.Option
	_       struct{}
}

// Updater is what a policy is put in force on: a *resilience.Guard, or what keeps several. If it
// has CheckUpdate(resilience.Policy) error too, a file is refused whose policy it refuses, before
// anything is changed.
type Updater interface {
	Update(resilience.Policy) error
}

// Load reads a file without watching it. See Parse.
func Load(file string, environ ...string) (Policies, []Problem, error) {
	return Config{Environ: environ}.Load(file)
}

// Parse reads policies from YAML; file is its name in problems. Of environ, lines as os.Environ
// returns them, those that begin with BACKSTAY_POLICY_ override fields of the file's guards; see
// the package comment. Problems are all that is wrong or doubtful, in the order of the file. If one
// of them is an error, there are no policies, and the error is an *Error.
func Parse(file string, text []byte, environ ...string) (Policies, []Problem, error) {
	return Config{Environ: environ}.Parse(file, text)
}

// Load reads a file. See Parse.
func (c Config) Load(file string) (Policies, []Problem, error) {
	text, err := strictyaml.ReadFile(file)
	if err != nil {
		return nil, nil, fmt.Errorf("policyfile: %w", err)
	}
	return c.Parse(file, text)
}

// Parse reads the guards and all sections. See the function Parse. The sections' Use is not
// called.
func (c Config) Parse(file string, text []byte) (Policies, []Problem, error) {
	d, all := c.read(file, text)
	if err := d.Err(); err != nil {
		return nil, d.Problems(), err
	}
	return all.guards, d.Problems(), nil
}

// content is what a file holds.
type content struct {
	guards Policies
	parts  []values
}

// format is how policy files are read.
func (c Config) format() strictyaml.Format {
	values := words()
	for _, part := range c.Sections {
		maps.Copy(values, part.words())
	}
	return strictyaml.Format{Noun: "policy file", Kind: ErrFile, Example: "guards: {catalog: {bulkhead: {limit: 8}, default: {timeout: 1s}}}", Values: values}
}

// values0 are what values of the types of a policy can be.
func words() map[reflect.Type][]string {
	return map[reflect.Type][]string{
		reflect.TypeFor[resilience.Criticality](): {"critical_plus", "critical", "sheddable_plus", "sheddable"},
		reflect.TypeFor[resilience.BreakerMode](): {"open", "closed", "disabled"},
	}
}

// read reads a whole file. What is wrong is in the document.
func (c Config) read(file string, text []byte) (*strictyaml.Document, content) {
	d := c.format().Parse(file, text)
	known := []string{Key}
	for _, part := range c.Sections {
		known = append(known, part.key())
	}
	d.Top(known...)
	policies := Policies{}
	guards := c.guards(d, policies)
	var all content
	for _, part := range append([]Part{guards}, c.Sections...) {
		v := part.read(d, c.Environ)
		d.Check(written(d, v.policies())...)
		all.parts = append(all.parts, v)
	}
	all.guards = policies
	if d.Err() == nil {
		d.Check(together(all.parts)...)
		if c.Check != nil {
			d.Check(c.Check(maps.Clone(policies))...)
		}
	}
	return d, all
}

// guards is the section of the guards, which are put into policies.
func (c Config) guards(d *strictyaml.Document, policies Policies) *Section[resilience.Policy] {
	return &Section[resilience.Policy]{
		Key: Key, Noun: "guard", Prefix: prefix,
		// A file without guards is good if it has something else to read.
		Optional: slices.ContainsFunc(c.Sections, func(p Part) bool { return slices.Contains(d.Keys(), p.key()) }),
		Check: func(name string, p *resilience.Policy) (found []resilience.Finding) {
			if p.Name != "" && p.Name != name {
				found = append(found, resilience.Finding{Field: "name", Severity: resilience.Error, Problem: fmt.Sprintf("is %q", p.Name), Change: "leave it out; the key is the name"})
			}
			p.Name = name
			policies[name] = *p
			return append(found, p.Check()...)
		},
		Policies: func(name string, p resilience.Policy) []GuardPolicy {
			return []GuardPolicy{{Policy: p, Field: func(field string) string { return strings.TrimSuffix(Key+"."+name+"."+field, ".") }}}
		},
	}
}
