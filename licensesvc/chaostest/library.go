package chaostest

import (
	"embed"
	"fmt"
	"path"
	"strings"

	"github.com/backstay-go/backstay/chaos/scenario"
)

//go:embed scenarios/*.yaml
var library embed.FS

// Library returns the scenarios of the license service, sorted by name.
func Library() ([]scenario.Scenario, error) {
	files, err := library.ReadDir("scenarios")
	if err != nil {
		return nil, err
	}
	var all []scenario.Scenario
	for _, f := range files {
		text, err := library.ReadFile(path.Join("scenarios", f.Name()))
		if err != nil {
			return nil, err
		}
		s, err := scenario.Parse(f.Name(), text)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// Named returns the scenario of the library with the given name.
func Named(name string) (scenario.Scenario, error) {
	all, err := Library()
	if err != nil {
		return scenario.Scenario{}, err
	}
	var names []string
	for _, s := range all {
		if s.Name == name {
			return s, nil
		}
		names = append(names, s.Name)
	}
	return scenario.Scenario{}, fmt.Errorf("there is no scenario %q; there are %s", name, strings.Join(names, ", "))
}
