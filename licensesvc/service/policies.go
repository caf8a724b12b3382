package service

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	sessions "github.com/backstay-go/backstay/clients/cassandra/policyfile"
	"github.com/backstay-go/backstay/licensesvc/api"
	"github.com/backstay-go/backstay/licensesvc/app"
	"github.com/backstay-go/backstay/licensesvc/upstream"
	"github.com/backstay-go/backstay/resilience"
	"github.com/backstay-go/backstay/resilience/policyfile"
)

// Policies returns the policies of a service that is given no others, by guard. That of the
// store comes from its StoreOpener.
func Policies(store resilience.Policy) map[string]resilience.Policy {
	own := map[string]resilience.Policy{}
	for _, p := range []resilience.Policy{api.Policy(defaultDeadline), store, upstream.MembershipPolicy(), upstream.CatalogPolicy(), upstream.KeyServicePolicy()} {
		own[p.Name] = p
	}
	return own
}

// LoadPolicies reads a file of policies for a service with its own policies, with the
// overrides of the environment.
func LoadPolicies(file string, own map[string]resilience.Policy) (map[string]resilience.Policy, error) {
	policies, _, err := policyConfig(own).Load(file)
	return policies, err
}

// policyConfig says how a policy file is read. Sections of sessions are refused, because the
// store's promises depend on the consistency of its session.
func policyConfig(own map[string]resilience.Policy) policyfile.Config {
	return policyfile.Config{
		Environ: os.Environ(),
		Check:   func(policies policyfile.Policies) []policyfile.Problem { return unknown(policies, own) },
		Sections: []policyfile.Part{&policyfile.Section[sessions.Policy]{
			Key: sessions.Key, Noun: "session", Prefix: "BACKSTAY_CASSANDRA_", Optional: true,
			Check: func(string, *sessions.Policy) []resilience.Finding {
				return []resilience.Finding{{Severity: resilience.Error, Problem: "the service keeps the profiles of its Cassandra session, as what it promises hangs on their consistency",
					Change: "take the section out, and give guards." + app.EventStore + ", whose operations are the profiles"}}
			},
		}},
	}
}

// CheckPolicies returns every guard and operation that a service with its own policies
// does not have, and every operation that it needs and a policy leaves out.
func CheckPolicies(policies, own map[string]resilience.Policy) error {
	if found := unknown(policies, own); len(found) > 0 {
		return &policyfile.Error{Kind: policyfile.ErrFile, Noun: "policies", Problems: found}
	}
	return nil
}

// unknown returns the problems that CheckPolicies reports.
func unknown(policies, own map[string]resilience.Policy) (found []policyfile.Problem) {
	for _, name := range slices.Sorted(maps.Keys(policies)) {
		mine, ok := own[name]
		if !ok {
			found = append(found, policyfile.Problem{Field: "guards." + name, Message: "there is no such guard", Suggestion: "there are " + strings.Join(slices.Sorted(maps.Keys(own)), ", ")})
			continue
		}
		needed := strings.Join(slices.Sorted(maps.Keys(mine.Operations)), ", ")
		for _, op := range slices.Sorted(maps.Keys(policies[name].Operations)) {
			if _, ok := mine.Operations[op]; !ok {
				found = append(found, policyfile.Problem{Field: "guards." + name + ".operations." + op, Message: "there is no such operation", Suggestion: "there are " + needed})
			}
		}
		for _, op := range slices.Sorted(maps.Keys(mine.Operations)) {
			if _, ok := policies[name].Operations[op]; !ok {
				found = append(found, policyfile.Problem{Field: "guards." + name + ".operations", Message: op + " is missing", Suggestion: "give all of " + needed})
			}
		}
	}
	return found
}

// OpenPolicies applies the policies of a file, which it reads as LoadPolicies does, to the
// running guards. Watch of the returned set applies changes of the file.
func (in *Instance) OpenPolicies(file string) (*policyfile.Set, error) {
	c := policyConfig(in.known())
	c.Own = map[string]policyfile.Updater{}
	for name, own := range in.updaters() {
		c.Own[name] = own
	}
	return policyfile.Open(file, c)
}

// Update changes the policies of running guards, which keep their state. If it returns an
// error, nothing has changed.
func (in *Instance) Update(policies map[string]resilience.Policy) error {
	if err := CheckPolicies(policies, in.known()); err != nil {
		return err
	}
	// Each guard is asked before the first is changed.
	for name, own := range in.updaters() {
		p, ok := policies[name]
		if !ok {
			continue
		}
		if err := own.CheckUpdate(p); err != nil {
			return fmt.Errorf("guards.%s: %w", name, err)
		}
	}
	var errs []error
	for name, own := range in.updaters() {
		if p, ok := policies[name]; ok {
			errs = append(errs, own.Update(p))
		}
	}
	return errors.Join(errs...)
}

// updater is a guard, or a store with guards, whose policy can be changed.
type updater interface {
	CheckUpdate(p resilience.Policy) error
	Update(p resilience.Policy) error
}

// updaters returns what the policies are for, by the name of the guard.
func (in *Instance) updaters() map[string]updater {
	all := map[string]updater{app.EventStore: in.store}
	for _, g := range append(in.clients.Guards(), in.own) {
		all[g.Name()] = g
	}
	return all
}

// known returns the policies that the service has.
func (in *Instance) known() map[string]resilience.Policy { return Policies(in.store.Policy()) }
