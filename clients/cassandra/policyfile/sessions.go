package policyfile

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/resilience"
	"github.com/backstay-go/backstay/resilience/policyfile"
)

// Sessions are the Cassandra sessions of a policy file that a policyfile.Set reads and watches:
//
//	var sessions policyfile.Sessions
//	set, err := guards.Open(file, guards.Config{Sections: []guards.Part{sessions.Section()}})
//	p, err := sessions.Policy("licenses")
//	p.Apply(&config)
//	session, err := cassandra.Connect(ctx, config)
//	err = sessions.Follow("licenses", session)
//	err = set.Watch(ctx, onReload)
//
// One reader checks guards and sessions together, so that a mistake in either changes nothing. The
// zero value is ready. It is safe for concurrent use, and closes no session.
type Sessions struct {
	mu       sync.Mutex
	policies Policies // in force
	follow   map[string][]*cassandra.Session
}

// Section is the part of a policy file that holds sessions, for the configuration of one set.
func (s *Sessions) Section() policyfile.Part {
	part := section()
	part.InUse, part.Use = s.inUse, s.use
	return part
}

// Policy returns the policy of one session, or an error that names those that the file has.
func (s *Sessions) Policy(name string) (Policy, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.policies[name]
	if !ok {
		return Policy{}, fmt.Errorf("%w: there is no session %q below %s; there are %s", ErrFile, name, Key, strings.Join(slices.Sorted(maps.Keys(s.policies)), ", "))
	}
	return p, nil
}

// Follow updates a session by the policy of that name: now, and whenever the file changes, until
// the session is closed. A file that could not be put in force on it is refused.
func (s *Sessions) Follow(name string, session *cassandra.Session) error {
	p, err := s.Policy(name)
	if err != nil {
		return err
	}
	if err := session.Update(p.Profiles, p.Guard); err != nil {
		return err
	}
	s.mu.Lock()
	if s.follow == nil {
		s.follow = map[string][]*cassandra.Session{}
	}
	s.follow[name] = append(s.follow[name], session)
	now := s.policies[name]
	s.mu.Unlock()
	return session.Update(now.Profiles, now.Guard) // the file may have changed meanwhile
}

// followers are the sessions that follow a policy.
func (s *Sessions) followers(name string) []*cassandra.Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.follow[name])
}

// inUse returns what is in use and missing from a new file, and what can't be changed.
func (s *Sessions) inUse(next map[string]Policy) (found []resilience.Finding) {
	s.mu.Lock()
	now := maps.Clone(s.policies)
	s.mu.Unlock()
	add := func(field, problem string) {
		found = append(found, resilience.Finding{Severity: resilience.Error, Field: field, Problem: problem, Change: "put it back, or restart"})
	}
	const missing, fixed = "is in use and missing from the file", "can't be changed while the session runs"
	for _, name := range slices.Sorted(maps.Keys(now)) {
		p, ok := next[name]
		if !ok {
			add(name, missing)
			continue
		}
		for _, profile := range slices.Sorted(maps.Keys(now[name].Profiles)) {
			if _, ok := p.Profiles[profile]; !ok {
				add(name+".profiles."+profile, missing)
			}
		}
		if p.DefaultProfile != now[name].DefaultProfile {
			add(name+".default_profile", fixed)
		}
		if !reflect.DeepEqual(p.Failover, now[name].Failover) {
			add(name+".failover", fixed)
		}
		for _, session := range s.followers(name) {
			found = append(found, refusals(name, p, session.CheckUpdate(p.Profiles, p.Guard))...)
		}
	}
	return found
}

// refusals are the reasons for which a session refuses its policy, with their places in the file.
func refusals(name string, p Policy, err error) (found []resilience.Finding) {
	if err == nil || errors.Is(err, cassandra.ErrClosed) {
		return nil
	}
	var invalid *resilience.PolicyError
	if !errors.As(err, &invalid) {
		return []resilience.Finding{{Severity: resilience.Error, Field: name, Problem: "can't be put in force: " + err.Error(), Change: "put it back, or restart"}}
	}
	for _, f := range invalid.Findings {
		f.Field = name + "." + below("guard", f.Field, p.Profiles)
		found = append(found, f)
	}
	return found
}

// use puts a file's policies in force.
func (s *Sessions) use(next map[string]Policy) error {
	s.mu.Lock()
	s.policies = maps.Clone(next)
	s.mu.Unlock()
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(next)) {
		for _, session := range s.followers(name) {
			switch err := session.Update(next[name].Profiles, next[name].Guard); {
			case errors.Is(err, cassandra.ErrClosed):
				s.forget(name, session)
			case err != nil:
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// forget ends following a session.
func (s *Sessions) forget(name string, session *cassandra.Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.follow[name] = slices.DeleteFunc(s.follow[name], func(one *cassandra.Session) bool { return one == session })
}
