package policyfile

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/resilience"
)

// ErrFile is the kind of every error about a file's content.
var ErrFile = errors.New("cassandra policyfile: bad policy file")

// section is the key at the top of the file: those that begin with x- are not the
// other guards'.
const section = "x-cassandra"

// maxBytes bounds a file, so that one that is none does not fill memory.
const maxBytes = 1 << 20

// Policy is how one session's requests run. It is plain data.
type Policy struct {
	// Profiles by name. Required, at least one.
	Profiles map[string]cassandra.Profile `json:"profiles" yaml:"profiles"`
	// DefaultProfile is for requests that name none. Default: as Config says.
	DefaultProfile string `json:"defaultProfile,omitempty" yaml:"defaultProfile,omitempty"`
	// Guard is what all requests share. The zero value: cassandra.DefaultGuard.
	Guard resilience.Policy `json:"guard,omitzero" yaml:"guard,omitempty"`
	// Failover declares a remote data centre. Nil: none. It can't be changed while the
	// session runs.
	Failover *cassandra.Failover `json:"failover,omitempty" yaml:"failover,omitempty"`
	_        struct{}
}

// Apply puts the policy into a configuration.
func (p Policy) Apply(c *cassandra.Config) {
	c.Profiles, c.DefaultProfile, c.Guard, c.Failover = p.Profiles, p.DefaultProfile, p.Guard, p.Failover
}

// Policies are a file's policies, by session.
type Policies map[string]Policy

// Load reads a file. See Parse.
func Load(file string) (Policies, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("cassandra policyfile: %w; the file must exist and be readable", err)
	}
	return Parse(file, text)
}

// Parse reads the policies of all sessions from YAML; file is its name in errors. The
// error matches ErrFile and has a line for each problem: file:line: text.
func Parse(file string, text []byte) (Policies, error) {
	if len(text) > maxBytes {
		return nil, fmt.Errorf("%w: %s: it has %d bytes, more than %d", ErrFile, file, len(text), maxBytes)
	}
	tree, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: %s:%w", ErrFile, file, err)
	}
	var content map[string]any
	if err := yaml.Unmarshal(text, &content); err != nil {
		return nil, fmt.Errorf("%w: %s:%w", ErrFile, file, err)
	}
	at, err := (&yaml.PathBuilder{}).Root().Child(section).Build().FilterFile(tree)
	if _, there := content[section]; !there || err != nil {
		return nil, fmt.Errorf("%w: %s:1: there is no %s: name at least one session below it", ErrFile, file, section)
	}
	var policies Policies
	if err := yaml.NodeToValue(at, &policies, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("%w: %s:%w", ErrFile, file, err)
	}
	if len(policies) == 0 {
		return nil, fmt.Errorf("%w: %s:%d: %s is empty: name at least one session below it", ErrFile, file, line(tree, section), section)
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(policies)) {
		for _, problem := range check(policies[name]) {
			errs = append(errs, fmt.Errorf("%s:%d: %s.%s: %s", file, line(tree, path(name, problem)...), section, name, problem))
		}
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("%w:\n%w", ErrFile, errors.Join(errs...))
	}
	return policies, nil
}

// check returns what the client says of the policy, a problem a line. Where the cluster
// is does not matter to it.
func check(p Policy) []string {
	c := cassandra.Config{Hosts: []string{"anywhere"}, LocalDC: "(the session's)"}
	p.Apply(&c)
	err := c.Check()
	if err == nil {
		return nil
	}
	var problems []string
	for _, l := range strings.Split(err.Error(), "\n")[1:] {
		problems = append(problems, strings.TrimSpace(l))
	}
	return problems
}

var field = regexp.MustCompile(`^(?:Profiles\[([^\]]*)\]|(Guard|Failover|DefaultProfile|Profiles))(?:\.([A-Za-z.]+))?`)

// path is where in the file a problem is.
func path(session, problem string) []string {
	at := []string{section, session}
	m := field.FindStringSubmatch(problem)
	switch {
	case m == nil:
		return at
	case m[1] != "":
		at = append(at, "profiles", m[1])
	default:
		at = append(at, lower(m[2]))
	}
	for name := range strings.SplitSeq(m[3], ".") {
		if name != "" {
			at = append(at, lower(name))
		}
	}
	return at
}

func lower(name string) string { return strings.ToLower(name[:1]) + name[1:] }

// line finds the line of a field, or of the nearest thing around it that is there.
func line(tree *ast.File, path ...string) int {
	for n := len(path); n > 0; n-- {
		builder := (&yaml.PathBuilder{}).Root()
		for _, p := range path[:n] {
			builder = builder.Child(p)
		}
		node, err := builder.Build().FilterFile(tree)
		if err != nil || node == nil || node.GetToken() == nil {
			continue
		}
		at := node.GetToken().Position.Line
		if m, block := node.(*ast.MappingNode); block && !m.IsFlowStyle && at > 1 {
			at-- // a block begins below its key
		}
		return at
	}
	return 1
}
