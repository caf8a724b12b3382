package scenario

import (
	"fmt"
	"slices"
	"strings"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/report"
)

// checkNames checks that the names in checks and stop conditions exist in the running
// system. A name that does not exist never occurs, so a check such as "at most 10 %" of it
// would always pass.
func (s Scenario) checkNames(system System) error {
	var c checker
	labels := system.Labels()
	var watched []string
	if w, ok := system.(DependencyReporter); ok {
		for _, d := range w.Dependencies() {
			watched = append(watched, d.Name)
		}
	}
	known := func(field, noun, name string, names []string) {
		switch {
		case slices.Contains(names, name):
		case len(names) == 0:
			c.add(field, "names the %s %q, and the system tells of none", noun, name)
		default:
			c.add(field, "there is no %s %q; there are: %s", noun, name, strings.Join(names, ", "))
		}
	}
	measure := func(field, text string) {
		word, names, _, err := parseMeasure(text)
		switch {
		case err != nil: // Check refuses such a scenario.
		case word == "outcome":
			known(field, word, names[0], named(labels.Outcomes))
		case word == "source":
			known(field, "source's dependency", names[0], labels.Dependencies)
			known(field, word, names[1], named(labels.Sources))
		case len(names) > 0:
			known(field, "dependency", names[0], watched)
		}
	}
	for i, stop := range s.Stop {
		measure(fmt.Sprintf("stop[%d].measure", i), stop.Measure)
	}
	for i, check := range s.Checks {
		at := fmt.Sprintf("checks[%d]", i)
		measure(at+".measure", check.Measure)
		if check.Kind != "" {
			known(at+".kind", "kind of request", check.Kind, labels.Kinds)
		}
	}
	if len(c) > 0 {
		return chaos.NewPlanError(c...)
	}
	return nil
}

func named(values []report.Value) []string {
	var names []string
	for _, v := range values {
		names = append(names, v.Name)
	}
	return names
}
