package scenario

import (
	"embed"
	"fmt"
	"path"
	"strings"
)

//go:embed library/*.yaml
var library embed.FS

// Library returns the built-in scenarios, by name.
func Library() ([]Scenario, error) {
	files, err := library.ReadDir("library")
	if err != nil {
		return nil, err
	}
	var all []Scenario
	for _, f := range files {
		text, err := library.ReadFile(path.Join("library", f.Name()))
		if err != nil {
			return nil, err
		}
		s, err := Parse(f.Name(), text)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// Named returns a built-in scenario.
func Named(name string) (Scenario, error) {
	all, err := Library()
	if err != nil {
		return Scenario{}, err
	}
	var names []string
	for _, s := range all {
		if s.Name == name {
			return s, nil
		}
		names = append(names, s.Name)
	}
	return Scenario{}, fmt.Errorf("scenario: there is no %q; there are %s", name, strings.Join(names, ", "))
}
