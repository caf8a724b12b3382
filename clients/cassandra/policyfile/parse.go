package policyfile

import (
	"errors"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/resilience"
	"github.com/backstay-go/backstay/resilience/policyfile"
)

// ErrFile is the kind of every error about a file's content: that of the guards' reader.
var ErrFile = policyfile.ErrFile

// Policy is how one session's requests run. It is plain data.
type Policy struct {
	// Profiles say how each kind of request runs, by name. Required, at least one.
	Profiles map[string]cassandra.Profile `json:"profiles" yaml:"profiles"`
	// DefaultProfile is for requests that name none. Default: the only profile, if there is
	// one. It can't be changed while the session runs.
	DefaultProfile string `json:"default_profile,omitempty" yaml:"default_profile,omitempty"`
	// Guard is what all requests share; its operations and default are made from the
	// profiles. A limit, breaker or budget that it does not have is that of
	// cassandra.DefaultGuard. Its default name is the session's in the file.
	Guard resilience.Policy `json:"guard,omitzero" yaml:"guard,omitempty"`
	// Failover declares a remote data centre. Default: none. It can't be changed while the
	// session runs.
	Failover *cassandra.Failover `json:"failover,omitempty" yaml:"failover,omitempty"`
	_        struct{}
}

// Apply puts the policy into a configuration.
func (p Policy) Apply(c *cassandra.Config) {
	c.Profiles, c.DefaultProfile, c.Guard, c.Failover = p.Profiles, p.DefaultProfile, p.Guard, p.Failover
}

// Guards are the policies of the guards that a session has, by which records and metrics
// name them: see cassandra.Config.Policies.
func (p Policy) Guards() []resilience.Policy {
	var c cassandra.Config
	p.Apply(&c)
	return c.Policies()
}

// Policies are a file's policies, by session.
type Policies map[string]Policy

// Key is the key at the top below which sessions stand.
const Key = "x-cassandra"

// section is where they stand in the file.
func section() *policyfile.Section[Policy] {
	return &policyfile.Section[Policy]{
		Key: Key, Noun: "session", Prefix: "BACKSTAY_CASSANDRA_", Check: check, Policies: guards,
		Words: map[reflect.Type][]string{reflect.TypeFor[cassandra.Consistency](): levels()},
	}
}

// levels are the names of the consistency levels.
func levels() (names []string) {
	for c := cassandra.One; c <= cassandra.LocalOne; c++ {
		names = append(names, c.String())
	}
	return names
}

// Load reads a file. See Parse.
func Load(file string, environ ...string) (Policies, []policyfile.Problem, error) {
	var read Policies
	c := policyfile.Config{Environ: environ, Sections: []policyfile.Part{collect(&read)}}
	_, found, err := c.Load(file)
	if err != nil {
		read = nil
	}
	return read, found, err
}

// Parse reads the policies of all sessions from YAML; file is its name in problems. The guards of
// the file are checked too: if any part is bad, there are no policies. Of environ, lines as
// os.Environ returns them, those that begin with BACKSTAY_CASSANDRA_ or BACKSTAY_POLICY_ override
// fields. Problems are all that is wrong or doubtful, in the order of the file. The error, a
// *policyfile.Error, matches ErrFile.
func Parse(file string, text []byte, environ ...string) (Policies, []policyfile.Problem, error) {
	var sessions Policies
	c := policyfile.Config{Environ: environ, Sections: []policyfile.Part{collect(&sessions)}}
	_, found, err := c.Parse(file, text)
	if err != nil {
		sessions = nil
	}
	return sessions, found, err
}

// ParseAll reads the guards and the sessions of a file, as Parse does, and accepts one that has
// guards only.
func ParseAll(file string, text []byte, environ ...string) (policyfile.Policies, Policies, []policyfile.Problem, error) {
	var sessions Policies
	optional := collect(&sessions)
	optional.Optional = true
	c := policyfile.Config{Environ: environ, Sections: []policyfile.Part{optional}}
	guards, found, err := c.Parse(file, text)
	if err != nil {
		sessions = nil
	}
	return guards, sessions, found, err
}

// check completes the policy, and returns what the client says of it. Where the cluster is does
// not matter to it.
func check(name string, p *Policy) (found []resilience.Finding) {
	if p.Guard.Name == "" {
		p.Guard.Name = name
	}
	c := cassandra.Config{Hosts: []string{"anywhere"}, LocalDC: "(the session's)"}
	p.Apply(&c)
	var bad *cassandra.ConfigError
	if errors.As(c.Check(), &bad) {
		for _, b := range bad.Problems {
			found = append(found, resilience.Finding{Severity: resilience.Error, Field: fieldOf(b, p.Profiles), Problem: b.Problem, Change: b.Change})
		}
		return found
	}
	for _, f := range c.Policies()[0].Check() {
		if f.Severity != resilience.Error && !strings.HasPrefix(f.Field, resilience.DefaultOperation) {
			f.Field = below("guard", f.Field, p.Profiles)
			found = append(found, f)
		}
	}
	return found
}

// guards are the policies of a session's guards, with the places of their fields.
func guards(name string, p Policy) (all []policyfile.GuardPolicy) {
	for _, g := range p.Guards() {
		all = append(all, policyfile.GuardPolicy{Policy: g, Field: func(field string) string {
			return Key + "." + name + "." + below("guard", field, p.Profiles)
		}})
	}
	return all
}

// fieldOf is the place of a problem in the file: what Go calls Profiles[a].PageSize is
// profiles.a.page_size there.
func fieldOf(p cassandra.ConfigProblem, profiles map[string]cassandra.Profile) string {
	field, profile := p.Field, ""
	if rest, ok := strings.CutPrefix(field, "Profiles["); ok {
		profile, field, _ = strings.Cut(rest, "].")
	}
	field = snake(field)
	switch {
	case profile != "":
		return "profiles." + profile + "." + field
	case p.Policy != "":
		return below(field, p.Policy, profiles)
	}
	return field
}

// words are the borders between the words of a Go name.
var words = regexp.MustCompile(`([a-z0-9])([A-Z])`)

// snake is a path of Go names as the file has it.
func snake(path string) string { return strings.ToLower(words.ReplaceAllString(path, "${1}_${2}")) }

// below is the place of a field of a guard: operations are profiles.
func below(guard, field string, profiles map[string]cassandra.Profile) string {
	if rest, ok := strings.CutPrefix(field, "operations."); ok {
		for _, name := range slices.Sorted(maps.Keys(profiles)) {
			if rest == name || strings.HasPrefix(rest, name+".") {
				return "profiles." + rest
			}
		}
	}
	return guard + "." + field
}

// collect is the section whose values are put into a variable.
func collect(into *Policies) *policyfile.Section[Policy] {
	*into = nil
	s := section()
	checkOne := s.Check
	s.Check = func(name string, p *Policy) []resilience.Finding {
		found := checkOne(name, p)
		if *into == nil {
			*into = Policies{}
		}
		(*into)[name] = *p
		return found
	}
	return s
}
