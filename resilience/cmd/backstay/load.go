package main

import (
	"fmt"
	"maps"
	"slices"

	sessions "github.com/backstay-go/backstay/clients/cassandra/policyfile"
	"github.com/backstay-go/backstay/resilience"
	"github.com/backstay-go/backstay/resilience/policyfile"
)

// policies is all that a file holds.
type policies struct {
	guards   policyfile.Policies
	sessions sessions.Policies
}

// load reads a file: the guards, and Cassandra's sessions if it has some.
func (t tool) load(file string, env bool) (all policies, found []policyfile.Problem, err error) {
	file, text, err := t.ReadFile(file)
	if err != nil {
		return all, nil, err
	}
	all.guards, all.sessions, found, err = sessions.ParseAll(file, text, t.overrides(env)...)
	return all, found, err
}

// guarding are the policies of all guards by name: those of the file, and those that its
// sessions have.
func (p policies) guarding() (map[string]resilience.Policy, error) {
	all := map[string]resilience.Policy{}
	maps.Copy(all, p.guards)
	for _, session := range slices.Sorted(maps.Keys(p.sessions)) {
		for _, guard := range p.sessions[session].Guards() {
			if _, twice := all[guard.Name]; twice {
				at := sessions.Key + "." + session
				return nil, fmt.Errorf("%s: its guard is called %s, and so is another one of the file; give it another name with %s.guard.name", at, guard.Name, at)
			}
			all[guard.Name] = guard
		}
	}
	return all, nil
}
