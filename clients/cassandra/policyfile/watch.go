package policyfile

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/resilience/policyfile"
)

// Session returns the policy of one session of the file, or an error that names those
// that it has. Environ is as Parse has it.
func Session(file, name string, environ ...string) (Policy, error) {
	policies, _, err := Load(file, environ...)
	if err != nil {
		return Policy{}, err
	}
	p, ok := policies[name]
	if !ok {
		return Policy{}, fmt.Errorf("%w: %s has no session %q below %s; it has %s", ErrFile, file, name, section.Key, strings.Join(slices.Sorted(maps.Keys(policies)), ", "))
	}
	return p, nil
}

// Watch updates the session whenever the file changes, until the context ends, and tells
// what came of it: nil, or why the old profiles stay. Environ is as Parse has it. It
// returns the context's error, or why it can't watch any more. It runs on the caller's
// goroutine.
func Watch(ctx context.Context, file, name string, s *cassandra.Session, told func(error), environ ...string) error {
	return policyfile.Watch(ctx, file, func() {
		p, err := Session(file, name, environ...)
		if err == nil {
			err = s.Update(p.Profiles, p.Guard)
		}
		told(err)
	})
}
