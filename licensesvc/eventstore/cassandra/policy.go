package cassandra

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	client "github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/resilience"
)

// These are the names of the profiles that the store's requests use.
const (
	ProfileSchema = "schema"
	// ProfileAppend is for conditional writes.
	ProfileAppend = "append"
	// ProfileWrite is for intents, marks and snapshots, which can be repeated.
	ProfileWrite = "write"
	// ProfileRead sees every acknowledged append. ProfileSettle also sees appends under way.
	ProfileRead   = "read"
	ProfileSettle = "settle"
	// ProfileShow may miss the newest events. It needs only one replica.
	ProfileShow = "show"
)

// DefaultDeadline bounds a call of the store, which makes several requests one after the other.
// Each attempt of a request has less time, so that the guard sees that a cluster does not answer
// before the deadline ends the call.
const DefaultDeadline = 1200 * time.Millisecond

// Profiles returns the profiles that the store needs, for a client's configuration. Streams
// belong to their local data centre: appends are linearizable only there.
func Profiles() map[string]client.Profile {
	op := func(timeout, attempt time.Duration, idempotent bool) resilience.OperationPolicy {
		p := resilience.OperationPolicy{Timeout: timeout, AttemptTimeout: attempt, Idempotent: idempotent}
		if idempotent {
			p.Retry = &resilience.RetryPolicy{MaxAttempts: 3, BaseDelay: 10 * time.Millisecond, MaxDelay: 100 * time.Millisecond}
		}
		return p
	}
	read := op(time.Second, 500*time.Millisecond, true)
	read.Hedge = &resilience.HedgePolicy{Delay: 100 * time.Millisecond}
	// The write of an intent is also sent to a second coordinator if the first is slow, so that
	// one slow coordinator does not delay an append.
	write := op(time.Second, 500*time.Millisecond, true)
	write.Hedge = &resilience.HedgePolicy{Delay: 150 * time.Millisecond}
	appends := op(900*time.Millisecond, 0, false)
	settle := op(time.Second, 900*time.Millisecond, true)
	appends.Criticality, settle.Criticality = resilience.CriticalPlus, resilience.CriticalPlus
	show := read
	show.Criticality = resilience.SheddablePlus
	return map[string]client.Profile{
		ProfileSchema: {OperationPolicy: op(time.Minute, 0, false), Consistency: client.Quorum},
		ProfileAppend: {OperationPolicy: appends, Consistency: client.LocalQuorum, SerialConsistency: client.LocalSerial},
		ProfileWrite:  {OperationPolicy: write, Consistency: client.LocalQuorum},
		ProfileRead:   {OperationPolicy: read, Consistency: client.LocalQuorum, Decision: true},
		ProfileSettle: {OperationPolicy: settle, Consistency: client.LocalSerial, Decision: true},
		ProfileShow:   {OperationPolicy: show, Consistency: client.LocalOne, Isolated: true},
	}
}

// Policy returns the policy of the store's session: the settings that all requests share, and one
// operation per profile.
func Policy() resilience.Policy {
	p := client.DefaultGuard()
	p.Name, p.Operations = eventstore.Name, map[string]resilience.OperationPolicy{}
	p.Bulkhead = resilience.BulkheadPolicy{Limit: 256, Queue: 256, MaxWait: 200 * time.Millisecond}
	for name, profile := range Profiles() {
		p.Operations[name] = profile.OperationPolicy
	}
	p.Default = p.Operations[ProfileRead]
	return p
}

// Configured returns the configuration with the store's profiles under a policy. The store sets
// the consistency of the profiles itself, because its promises depend on it.
func Configured(cfg client.Config, p resilience.Policy) client.Config {
	cfg.Profiles, cfg.Guard = withPolicy(Profiles(), p)
	return cfg
}

// withPolicy splits a policy into the profiles and the settings that they share. A policy's
// default is for operations that it does not name; here it names every profile.
func withPolicy(profiles map[string]client.Profile, p resilience.Policy) (map[string]client.Profile, resilience.Policy) {
	profiles = maps.Clone(profiles)
	for name, op := range p.Operations {
		profile := profiles[name]
		profile.OperationPolicy = op
		profiles[name] = profile
	}
	p.Operations, p.Default = nil, resilience.OperationPolicy{}
	return profiles, p
}

// Elsewhere returns the configuration with another data centre that replaces LocalDC when that
// fails. It is used only for reads that are displayed, never for reads on which something is
// decided, because appends are linearizable in the local data centre only. The keyspace must be
// replicated to both.
func Elsewhere(cfg client.Config, dataCenter string) client.Config {
	cfg.Failover = &client.Failover{DataCenter: dataCenter}
	cfg.Profiles = maps.Clone(cfg.Profiles)
	show := cfg.Profiles[ProfileShow]
	show.Failover = true
	cfg.Profiles[ProfileShow] = show
	return cfg
}

// checkPolicy finds operations in which one attempt may take as long as a whole call of the
// store. The guard would never see such an attempt time out.
func checkPolicy(operations map[string]resilience.OperationPolicy, deadline time.Duration) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(operations)) {
		op := operations[name]
		field, attempt := "attempt_timeout", op.AttemptTimeout
		if attempt == 0 || op.Timeout < attempt {
			field, attempt = "timeout", op.Timeout
		}
		if name != ProfileSchema && attempt >= deadline {
			errs = append(errs, fmt.Errorf("eventstore/cassandra: %s of %s is %s, and a call of the store ends after %s, so the circuit breaker would never see an attempt time out: give less", field, name, attempt, deadline))
		}
	}
	return errors.Join(errs...)
}

// Guards implements eventstore.GuardedStore. It returns the session's guard, the guard of the
// operations that run isolated, and the guard of the other data centre if there is one.
func (s *Store) Guards() []*resilience.Guard {
	guards := []*resilience.Guard{s.session.Guard(), s.session.IsolatedGuard()}
	if remote := s.session.RemoteGuard(); remote != nil {
		guards = append(guards, remote)
	}
	return guards
}

// Policy implements eventstore.GuardedStore. Its operations are named like the profiles.
func (s *Store) Policy() resilience.Policy {
	p := s.session.Guard().Policy()
	p.Operations = map[string]resilience.OperationPolicy{}
	for name, profile := range s.session.Profiles() {
		p.Operations[name] = profile.OperationPolicy
	}
	p.Default = p.Operations[ProfileRead]
	return p
}

// CheckUpdate implements eventstore.GuardedStore.
func (s *Store) CheckUpdate(p resilience.Policy) error {
	return s.withChecked(p, s.session.CheckUpdate)
}

// Update implements eventstore.GuardedStore.
func (s *Store) Update(p resilience.Policy) error { return s.withChecked(p, s.session.Update) }

// withChecked splits a policy that fits the store, and hands it on.
func (s *Store) withChecked(p resilience.Policy, do func(map[string]client.Profile, resilience.Policy) error) error {
	if err := s.check(); err != nil {
		return err
	}
	if err := checkPolicy(p.Operations, s.deadline); err != nil {
		return err
	}
	return do(withPolicy(s.session.Profiles(), p))
}
