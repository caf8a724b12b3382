package service

import (
	"context"
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

// Policies are the policies that a service has if it is given no others, by guard. That of
// the store is its own: see StoreOpener.
func Policies(store resilience.Policy) map[string]resilience.Policy {
	own := map[string]resilience.Policy{}
	for _, p := range []resilience.Policy{api.Policy(defaultDeadline), store, upstream.MembershipPolicy(), upstream.CatalogPolicy(), upstream.KeyServicePolicy()} {
		own[p.Name] = p
	}
	return own
}

// LoadPolicies reads a file of policies for the service, with the overrides of the
// environment. Sections of sessions are refused: the store's promises hang on the
// consistency of its own.
func LoadPolicies(file string, own map[string]resilience.Policy) (map[string]resilience.Policy, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("policies: %w; the file must exist and be readable", err)
	}
	if slices.Contains(policyfile.Keys(text), sessions.Key) {
		return nil, fmt.Errorf("%s: %s: the service keeps the profiles of its Cassandra session, as what it promises hangs on their consistency; take the section out, and give guards.%s, whose operations are the profiles", file, sessions.Key, app.EventStore)
	}
	policies, _, err := policyfile.Parse(file, text, os.Environ()...)
	if err != nil {
		return nil, err
	}
	return policies, CheckPolicies(policies, own)
}

// CheckPolicies returns every guard and operation that a service with policies of its own
// does not have, and every operation that it needs and a policy leaves out.
func CheckPolicies(policies, own map[string]resilience.Policy) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(policies)) {
		mine, ok := own[name]
		if !ok {
			errs = append(errs, fmt.Errorf("guards.%s: there is no such guard; there are %s", name, strings.Join(slices.Sorted(maps.Keys(own)), ", ")))
			continue
		}
		needed := strings.Join(slices.Sorted(maps.Keys(mine.Operations)), ", ")
		for op := range policies[name].Operations {
			if _, ok := mine.Operations[op]; !ok {
				errs = append(errs, fmt.Errorf("guards.%s.operations.%s: there is no such operation; there are %s", name, op, needed))
			}
		}
		for op := range mine.Operations {
			if _, ok := policies[name].Operations[op]; !ok {
				errs = append(errs, fmt.Errorf("guards.%s.operations: %s is missing; give all of %s", name, op, needed))
			}
		}
	}
	return errors.Join(errs...)
}

// WatchPolicies takes changes of a file of policies, as LoadPolicies reads it, until the
// context ends. It tells what came of each: a bad file is an error, and changes nothing.
func (in *Instance) WatchPolicies(ctx context.Context, file string, told func(error)) error {
	return policyfile.Watch(ctx, file, func() {
		policies, err := LoadPolicies(file, in.known())
		if err == nil {
			err = in.Update(policies)
		}
		told(err)
	})
}

// Update changes the policies of guards that run; they keep their state. On an error
// nothing is changed.
func (in *Instance) Update(policies map[string]resilience.Policy) error {
	if err := CheckPolicies(policies, in.known()); err != nil {
		return err
	}
	for _, p := range policies {
		for _, f := range p.Check() {
			if f.Severity == resilience.Error {
				return fmt.Errorf("guards.%s: %s", p.Name, f)
			}
		}
	}
	var errs []error
	if p, ok := policies[app.EventStore]; ok {
		if err := in.store.Update(p); err != nil {
			return fmt.Errorf("guards.%s: %w", app.EventStore, err)
		}
	}
	for _, g := range append(in.clients.Guards(), in.own) {
		if p, ok := policies[g.Name()]; ok {
			errs = append(errs, g.Update(p))
		}
	}
	return errors.Join(errs...)
}

// known are the policies that the service has.
func (in *Instance) known() map[string]resilience.Policy { return Policies(in.store.Policy()) }
