package cassandra

import "strings"

// ConfigError is the error of a Config that can't be used: every problem that can be known
// without asking the cluster. It matches ErrConfig.
type ConfigError struct{ Problems []ConfigProblem }

// ConfigProblem is one thing that is wrong in a Config.
type ConfigProblem struct {
	// Field is the path as Go has it: Profiles[read].Consistency.
	Field string
	// Policy is the path below Field, as YAML has it, where Field is a guard's policy:
	// operations.read.retry.max_attempts. Else it is empty.
	Policy string
	// Problem says what is wrong, with the value; Change says what to do.
	Problem, Change string
}

// Error names every problem, one a line.
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
