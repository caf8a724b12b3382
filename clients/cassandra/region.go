package cassandra

import (
	"errors"
	"fmt"

	"github.com/backstay-go/backstay/resilience"
)

// Failover declares a remote data centre that replaces the local one. Requests of
// profiles with Failover go there when the local one can't answer: its breaker is open,
// too few replicas are alive, or no answer comes in time. A LOCAL_* level then refers
// to the remote data centre. No other requests go there.
type Failover struct {
	// DataCenter that is asked. Required, another than LocalDC.
	DataCenter string `json:"data_center" yaml:"data_center"`
	// Guard is what the remote data centre is asked under: a separate bulkhead,
	// breaker, budget and rate limit, so that one data centre's outage does not
	// become the other's overload. Its Operations and Default are made from the
	// profiles and must be empty. What it does not have is
	// DefaultFailoverGuard's.
	Guard resilience.Policy `json:"guard,omitzero" yaml:"guard,omitempty"`
	_     struct{}
}

// DefaultFailoverGuard returns the guard policy for the remote data centre if
// Failover.Guard is zero. It admits at most 256 requests at once, none may wait, and it
// has DefaultGuard's breaker and budget.
func DefaultFailoverGuard() resilience.Policy {
	p := DefaultGuard()
	p.Name = ""
	p.Bulkhead = resilience.BulkheadPolicy{Limit: 256}
	return p
}

// withDefaults fills in zero fields. The guard's name is made of that of the local
// guard and the data centre.
func (f Failover) withDefaults(local string) Failover {
	byDefault := DefaultFailoverGuard()
	byDefault.Name = local + "." + f.DataCenter
	f.Guard = completed(f.Guard, byDefault)
	return f
}

// remotePolicy returns the policy of the remote data centre's guard, with an operation
// for each profile that may go there. There are no hedges, because a caller that waits
// for another region has waited already.
func (c Config) remotePolicy() resilience.Policy {
	p := c.Failover.Guard
	p.Operations = map[string]resilience.OperationPolicy{}
	for name, profile := range c.Profiles {
		if !profile.Failover {
			continue
		}
		op := profile.OperationPolicy
		op.Hedge, op.Stale = nil, nil
		p.Operations[name] = op
		if p.Default.Timeout < op.Timeout {
			p.Default = resilience.OperationPolicy{Timeout: op.Timeout}
		}
	}
	return p
}

// checkFailover appends what is wrong with the failover.
func (c Config) checkFailover(add func(field string, value any, advice string)) {
	declared := ""
	for name, p := range c.Profiles {
		if p.Failover && (declared == "" || name < declared) {
			declared = name
		}
	}
	switch {
	case c.Failover == nil && declared != "":
		add("Profiles["+declared+"].Failover", true, "Failover names no data centre; name one, or take it off")
	case c.Failover == nil:
	case c.LocalDC == "":
		add("Failover", "set", "without LocalDC no data centre is the local one; set LocalDC")
	case c.Failover.DataCenter == "":
		add("Failover.DataCenter", "empty", "name the data centre that stands in")
	case c.Failover.DataCenter == c.LocalDC:
		add("Failover.DataCenter", fmt.Sprintf("%q", c.LocalDC), "it is LocalDC; name another one")
	case declared == "":
		add("Failover", "set", "no profile has Failover; set it where requests may go there")
	}
	if c.Failover != nil && len(c.Failover.Guard.Operations) > 0 {
		add("Failover.Guard.Operations", "set", "leave it empty: the profiles are the operations")
	}
}

// checkFailover appends why the profile may not fail over.
func (p Profile) checkFailover(at string, add func(field string, value any, advice string)) {
	switch {
	case !p.Failover:
	case p.SerialConsistency == LocalSerial || p.Consistency == LocalSerial:
		add(at+"Failover", true, "LOCAL_SERIAL in another data centre is another order of writes; use Serial, or take Failover off")
	case p.Decision && (p.Consistency == LocalQuorum || p.Consistency == LocalOne || p.Consistency == One):
		add(at+"Failover", true, "a read that something is decided on would miss, at "+p.Consistency.String()+" in another data centre, what was just written here; use Quorum or Serial, or take one of the two off")
	}
}

// mayFailOver reports whether the other data centre may be asked after such a failure.
// A request that may have been done is not done again unless it is idempotent, and a
// request that was refused to protect this service is not sent elsewhere.
func (x *execution) mayFailOver(cause error) bool {
	if errors.Is(cause, resilience.ErrRefused) && !errors.Is(cause, resilience.ErrOpen) {
		return false
	}
	return !x.st.write || x.profile.Idempotent || !x.call.Sent()
}

// RemoteGuard returns the guard for requests to the remote data centre, for snapshots;
// nil without Failover.
func (s *Session) RemoteGuard() *resilience.Guard {
	if s == nil {
		return nil
	}
	return s.remote
}
