package demo

import (
	"cmp"
	_ "embed"
	"errors"
	"strings"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/scenario"
)

//go:embed demo.yaml
var sqliteText []byte

//go:embed demo-cassandra.yaml
var cassandraText []byte

// SQLite returns the demonstration on the embedded store.
func SQLite() (scenario.Scenario, error) { return scenario.Parse("demo.yaml", sqliteText) }

// Cassandra returns the demonstration on three real nodes. It needs Linux.
func Cassandra() (scenario.Scenario, error) {
	return scenario.Parse("demo-cassandra.yaml", cassandraText)
}

// WithPlan returns the demonstration with the faults and the seed of a file instead of the
// built-in ones. known holds the names that the file's rules can use.
func WithPlan(s scenario.Scenario, file string, known chaos.Known) (scenario.Scenario, error) {
	// The built-in checks apply only to the built-in faults.
	s.Checks, s.Expected = nil, nil
	_, err := chaos.Load(file, func(p chaos.Plan) error {
		if p.Check() != nil {
			return nil // This problem has been reported already.
		}
		s.Faults, s.Seed = p.Rules, cmp.Or(p.Seed, s.Seed)
		err := p.CheckNames(known)
		var bad *chaos.PlanError
		if errors.As(s.Check(), &bad) {
			for i, problem := range bad.Problems {
				if rest, ok := strings.CutPrefix(problem.Field, "faults"); ok {
					bad.Problems[i].Field = "rules" + rest
				}
			}
			err = errors.Join(err, bad)
		}
		return err
	})
	return s, err
}
