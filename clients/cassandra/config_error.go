package cassandra

import "strings"

// ConfigError is the error of a Config that can't be used. It holds every problem that
// can be known without contacting the cluster. It matches ErrConfig.
type ConfigError struct{ Problems []ConfigProblem }

// ConfigProblem is one thing that is wrong in a Config.
type ConfigProblem struct {
	// Field is the path in Go, for example Profiles[read].Consistency.
	Field string
	// Policy is the path below Field in YAML, if Field is a guard's policy, for example
	// operations.read.retry.max_attempts. Otherwise it is empty.
	Policy string
	// Problem says what is wrong, with the value; Change says what to do.
	Problem, Change string
}

// Error names every problem, one per line.
func (e *ConfigError) Error() string {
	var b strings.Builder
	b.WriteString(ErrConfig.Error() + ":")
	for _, p := range e.Problems {
		b.WriteString("\n  " + p.String())
	}
	return b.String()
}

// Is makes the error match ErrConfig.
func (e *ConfigError) Is(target error) bool { return target == ErrConfig }

// String returns one line.
func (p ConfigProblem) String() string {
	if p.Policy != "" {
		return p.Field + ": " + p.Policy + ": error: " + p.Problem + "; " + p.Change
	}
	return p.Field + " " + p.Problem + ": " + p.Change
}
