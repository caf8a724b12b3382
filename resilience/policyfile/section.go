package policyfile

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/backstay-go/backstay/internal/strictyaml"
	"github.com/backstay-go/backstay/internal/suggest"
	"github.com/backstay-go/backstay/resilience"
)

// Key is the key at the top below which guards stand.
const Key = "guards"

// Section is a part of a policy file that another package reads, by the rules that the guards are
// read by and together with them: things of one type by name, below a key at the top. The fields
// are those of the type, by their yaml tags. It is plain data; give a pointer to it to
// Config.Sections.
type Section[T any] struct {
	// Key is at the top of the file; it begins with x-. Required.
	Key string
	// Noun is what stands below it, such as session. Required.
	Noun string
	// Prefix is what the names of variables that override fields begin with, such as
	// BACKSTAY_CASSANDRA_. Required.
	Prefix string
	// Words are what the values of a type can be, in the order in which they are listed.
	Words map[reflect.Type][]string
	// Optional: a file without the key is good. Default: it is refused.
	Optional bool
	// Check completes a value, and returns what is wrong or doubtful in it. Nil: nothing is.
	Check func(name string, v *T) []resilience.Finding
	// Policies are the policies of the guards that a value has, for what is checked over the whole
	// file. Nil: it has none.
	Policies func(name string, v T) []GuardPolicy
	// InUse returns what is in use and missing from the values of a file that is to replace
	// another. Their fields are paths below the key. It may be called while Use runs. Nil: nothing
	// is.
	InUse func(map[string]T) []resilience.Finding
	// Use puts the values of a file in force: when it was opened, and after each change. The set
	// calls it after the whole file was checked, once at a time, and holds no lock. An error is
	// returned by Reload. Nil: nothing is done.
	Use func(map[string]T) error
	_   struct{}
}

// GuardPolicy is the policy of a guard that a section describes, and how its fields are found in
// the file.
type GuardPolicy struct {
	resilience.Policy
	// Field is the path of a field of the policy in the file.
	Field func(field string) string
}

// Part is a Section of any type.
type Part interface {
	key() string
	words() map[reflect.Type][]string
	read(d *strictyaml.Document, environ []string) values
}

// values are what was read of one part.
type values interface {
	policies() []GuardPolicy
	inUse() []Problem
	use() error
}

func (s *Section[T]) key() string { return s.Key }

func (s *Section[T]) words() map[reflect.Type][]string { return s.Words }

type valuesOf[T any] struct {
	section *Section[T]
	byName  map[string]T
}

// read reads the section, and adds what is wrong to the document.
func (s *Section[T]) read(d *strictyaml.Document, environ []string) values {
	byName := map[string]T{}
	if !d.DecodeKey(s.Key, &byName) {
		if !s.Optional {
			s.missing(d)
		}
	} else if len(byName) == 0 {
		d.Check(Problem{Field: s.Key, Message: "is empty", Suggestion: "name at least one " + s.Noun + " below it"})
	}
	d.Override(s.Prefix, s.Key, &byName, environ)
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		v := byName[name]
		if s.Check != nil {
			d.Check(problems(s.Key+"."+name, s.Check(name, &v))...)
		}
		byName[name] = v
	}
	return &valuesOf[T]{section: s, byName: byName}
}

func (s *Section[T]) missing(d *strictyaml.Document) {
	p := Problem{Field: s.Key, Message: "is missing", Suggestion: "name at least one " + s.Noun + " below it"}
	others := slices.DeleteFunc(d.Keys(), func(key string) bool { return !strings.HasPrefix(key, "x-") })
	if near := suggest.Nearest(s.Key, slices.Values(others)); near != "" {
		p.Message += "; there is " + near
	}
	d.Check(p)
}

func (v *valuesOf[T]) policies() (all []GuardPolicy) {
	if v.section.Policies == nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(v.byName)) {
		all = append(all, v.section.Policies(name, v.byName[name])...)
	}
	return all
}

func (v *valuesOf[T]) inUse() []Problem {
	if v.section.InUse == nil {
		return nil
	}
	return problems(v.section.Key, v.section.InUse(v.byName))
}

func (v *valuesOf[T]) use() error {
	if v.section.Use == nil {
		return nil
	}
	return v.section.Use(v.byName)
}
