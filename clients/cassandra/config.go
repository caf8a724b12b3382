package cassandra

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"maps"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

// Config says how to reach a cluster and how requests run. It is plain data; a zero
// field has the default that its comment names.
type Config struct {
	// Hosts are contact points, addresses or names. Required; the others are found.
	Hosts []string `json:"hosts" yaml:"hosts"`
	// Port of all nodes. Default: 9042.
	Port int `json:"port,omitempty" yaml:"port,omitempty"`
	// Keyspace that statements without one refer to. Default: none.
	Keyspace string `json:"keyspace,omitempty" yaml:"keyspace,omitempty"`
	// LocalDC is the data centre whose nodes are asked first; LOCAL_* levels mean it.
	// Default: none; the nodes of all data centres are asked alike.
	LocalDC string `json:"local_dc,omitempty" yaml:"local_dc,omitempty"`
	// Failover declares a remote data centre that stands in for the local one. Nil: none.
	Failover *Failover `json:"failover,omitempty" yaml:"failover,omitempty"`
	// Profiles are how requests run, by name. Required, at least one.
	Profiles map[string]Profile `json:"profiles" yaml:"profiles"`
	// DefaultProfile is for requests that name none. Default: the only profile, else
	// a request that names none is an error.
	DefaultProfile string `json:"default_profile,omitempty" yaml:"default_profile,omitempty"`
	// Guard is what all requests share: bulkhead, breaker, budget, rate limit. Its
	// Operations and Default are made from the profiles and must be empty. A name, limit,
	// breaker or budget that it does not have is DefaultGuard's; a breaker with
	// resilience.BreakerDisabled is none.
	Guard resilience.Policy `json:"guard,omitzero" yaml:"guard,omitempty"`
	// Username and Password for password authentication. Default: none.
	Username string `json:"username,omitempty" yaml:"username,omitempty"`
	Password Secret `json:"password,omitempty" yaml:"password,omitempty"`
	// Credentials returns the name and password for a connection that is about to be
	// opened, in place of Username and Password: it is how passwords are rotated without a
	// restart. It is called for each connection, from several goroutines, within
	// ConnectTimeout; a panic in it is an error of that connection. Nil: Username and
	// Password.
	Credentials func(context.Context) (username string, password Secret, err error) `json:"-" yaml:"-"`
	// Authenticators are the names of the server's classes that may be shown the password,
	// besides those that are known: Cassandra's own, DataStax's, Scylla's and those of some
	// hosters. Default: none besides.
	Authenticators []string `json:"authenticators,omitempty" yaml:"authenticators,omitempty"`
	// TLS secures the connections; ServerName defaults to the node's address. Nil: none.
	TLS *tls.Config `json:"-" yaml:"-"`
	// Connections to each node. Default: 1, which carries 32,768 requests at once.
	Connections int `json:"connections,omitempty" yaml:"connections,omitempty"`
	// ConnectTimeout bounds each step of opening a connection. Default: 1 s.
	ConnectTimeout time.Duration `json:"connect_timeout,omitempty" yaml:"connect_timeout,omitempty"`
	// OrphanLimit is the number of requests per connection that nobody waits for any more,
	// above which a node's connections are replaced. New requests then go to other nodes,
	// and the connections close as soon as nobody waits for an answer on them, or after
	// SilenceLimit. Default: 256, as in the Java driver.
	OrphanLimit int `json:"orphan_limit,omitempty" yaml:"orphan_limit,omitempty"`
	// SilenceLimit is how long a node that owes answers may stay silent before its
	// connections are replaced, how long a single connection may (5 s longer if Connections
	// is above 1), and how long a node above OrphanLimit keeps its connections for requests
	// that are still waited for. Default: 5 s.
	SilenceLimit time.Duration `json:"silence_limit,omitempty" yaml:"silence_limit,omitempty"`
	// QuietLimit is how long a node that owes answers may stay silent before it is tried
	// last. If it has sent nothing for half of the limit, it is probed with a trivial
	// request, and the probe has the other half to be answered. Default: 200 ms.
	QuietLimit time.Duration `json:"quiet_limit,omitempty" yaml:"quiet_limit,omitempty"`
	// SuspectAfter is the number of failures in a row after which a node is tried last.
	// Default: 3.
	SuspectAfter int `json:"suspect_after,omitempty" yaml:"suspect_after,omitempty"`
	// SuspectFor is how often one request may try a suspect node. Default: 500 ms.
	SuspectFor time.Duration `json:"suspect_for,omitempty" yaml:"suspect_for,omitempty"`
	// Options are for the session's guards: resilience.WithListener for their events, and
	// resilience.WithError or WithErrorFunc for the names of errors that Guard.Errors, and
	// so a policy file, can count or ignore. Errors of the cluster are *Error. Nil: none.
	Options []resilience.Option `json:"-" yaml:"-"`
	// Observers are called for each request that goes to the cluster.
	Observers []Observer `json:"-" yaml:"-"`
	// Payload returns what a request carries in addition to its text and values, by its attempt's
	// context: the protocol's custom payload, of which servers ignore what they don't know.
	// It needs Cassandra 2.2 (protocol 4) or later.
	// Package telemetry has one with trace and baggage, for proxies that inject faults. It
	// is called on the attempt's goroutine; its panic is the call's. Nil: nothing.
	Payload func(context.Context) map[string][]byte `json:"-" yaml:"-"`
	// Log gets the driver's log lines. Nil: they are dropped.
	Log func(line string) `json:"-" yaml:"-"`
	_   struct{}
}

// Secret is text that does not print.
type Secret string

// String returns "(secret)".
func (Secret) String() string { return hidden }

// GoString returns "(secret)".
func (Secret) GoString() string { return hidden }

// hidden is the text that is shown for a secret.
const hidden = "(secret)"

// MarshalText returns "(secret)", so that a configuration can be printed.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// UnmarshalText reads a secret. It refuses "(secret)", because that text comes from a
// printed configuration and is not the secret itself.
func (s *Secret) UnmarshalText(text []byte) error {
	if string(text) == hidden {
		return fmt.Errorf("%w: a secret is %s, which is how secrets are printed; put the secret itself there", ErrConfig, hidden)
	}
	*s = Secret(text)
	return nil
}

// The defaults, in one place.
const (
	defaultName           = "cassandra"
	defaultPort           = 9042
	defaultConnections    = 1
	defaultConnectTimeout = time.Second
	defaultOrphanLimit    = 256
	// maxOrphans leaves half of a connection's streams to requests for which callers
	// wait.
	maxOrphans          = 16384
	defaultSilenceLimit = 5 * time.Second
	defaultQuietLimit   = 200 * time.Millisecond
	defaultSuspectAfter = 3
	defaultSuspectFor   = 500 * time.Millisecond
	// requestTimeout bounds the driver's own requests: heartbeats and preparing
	// statements. The driver applies it to all other requests too, so it is raised to
	// the longest timeout of a profile.
	requestTimeout = 5 * time.Second
)

// DefaultGuard returns what requests share if Config.Guard is zero. It admits at most
// 1024 requests at once, and 1024 more may wait. Its breaker opens when at least half
// of 20 or more requests in 5 s failed. It tries again after 300 to 400 ms, so that
// traffic resumes within a second after the cluster has recovered.
func DefaultGuard() resilience.Policy {
	return resilience.Policy{
		Name:     defaultName,
		Bulkhead: resilience.BulkheadPolicy{Limit: 1024, Queue: 1024},
		Breaker: &resilience.BreakerPolicy{
			Window: 5 * time.Second, MinimumCalls: 20, FailureRate: 0.5,
			OpenFor: 300 * time.Millisecond, MaxOpenFor: 400 * time.Millisecond, ProbeTimeout: 250 * time.Millisecond, Probes: 3,
		},
		Budget: &resilience.BudgetPolicy{Ratio: 0.2, Burst: 50},
	}
}

// withDefaults fills in zero fields. The result shares nothing that is ever changed.
func (c Config) withDefaults() Config {
	c.Port = cmp.Or(c.Port, defaultPort)
	c.Connections = cmp.Or(c.Connections, defaultConnections)
	c.ConnectTimeout = cmp.Or(c.ConnectTimeout, defaultConnectTimeout)
	c.OrphanLimit = cmp.Or(c.OrphanLimit, defaultOrphanLimit)
	c.SilenceLimit = cmp.Or(c.SilenceLimit, defaultSilenceLimit)
	c.QuietLimit = cmp.Or(c.QuietLimit, defaultQuietLimit)
	c.SuspectAfter = cmp.Or(c.SuspectAfter, defaultSuspectAfter)
	c.SuspectFor = cmp.Or(c.SuspectFor, defaultSuspectFor)
	c.Profiles = maps.Clone(c.Profiles)
	for name, p := range c.Profiles {
		c.Profiles[name] = p.withDefaults()
	}
	if c.DefaultProfile == "" && len(c.Profiles) == 1 {
		for name := range c.Profiles {
			c.DefaultProfile = name
		}
	}
	c.Guard = completed(c.Guard, DefaultGuard())
	c.Keyspace = keyspaceName(c.Keyspace)
	if c.Failover != nil {
		f := c.Failover.withDefaults(c.Guard.Name)
		c.Failover = &f
	}
	return c
}

// completed returns the guard with the default's parts where it has none. So
// a guard that has only a name or a limit keeps the default's breaker and budget.
// BreakerDisabled removes the breaker; BudgetPolicy.Ratio makes a different budget.
func completed(guard, byDefault resilience.Policy) resilience.Policy {
	guard.Name = cmp.Or(guard.Name, byDefault.Name)
	if guard.Bulkhead.Limit == 0 && guard.Bulkhead.Adaptive == nil {
		limit, queue := byDefault.Bulkhead.Limit, byDefault.Bulkhead.Queue
		guard.Bulkhead.Limit = limit
		guard.Bulkhead.Queue = cmp.Or(guard.Bulkhead.Queue, queue)
	}
	if guard.Breaker == nil {
		guard.Breaker = byDefault.Breaker
	}
	if guard.Budget == nil {
		guard.Budget = byDefault.Budget
	}
	return guard
}

// longest returns how long any request may take.
func (c Config) longest() time.Duration {
	longest := requestTimeout
	for _, p := range c.Profiles {
		longest = max(longest, p.Timeout)
	}
	return longest
}

// Policies returns the policies of the guards of a session with this configuration:
// that of Session.Guard, and those of IsolatedGuard and RemoteGuard if the session has
// these guards.
func (c Config) Policies() []resilience.Policy {
	c = c.withDefaults()
	all := []resilience.Policy{c.policy()}
	if isolated := c.isolatedPolicy(); len(isolated.Operations) > 0 {
		all = append(all, isolated)
	}
	if c.Failover != nil {
		all = append(all, c.remotePolicy())
	}
	return all
}

// degradedSuffix is added to a profile's name to name the operation of its degraded
// reads.
const degradedSuffix = ".degraded"

// isolatedSuffix is added to the guard's name to name the guard of isolated requests.
const isolatedSuffix = ".isolated"

// policy returns the guard's policy: the shared part, and one operation per profile.
func (c Config) policy() resilience.Policy {
	operations := make(map[string]resilience.OperationPolicy, len(c.Profiles))
	for name, profile := range c.Profiles {
		if !profile.Isolated {
			operations[name] = profile.OperationPolicy
		}
	}
	return c.guarding(operations)
}

// isolatedPolicy returns the policy of the guard of isolated requests. It has the same
// numbers, but shares no state. It has no operations if no profile needs it.
func (c Config) isolatedPolicy() resilience.Policy {
	operations := map[string]resilience.OperationPolicy{}
	for name, profile := range c.Profiles {
		if profile.Isolated {
			operations[name] = profile.OperationPolicy
		}
		if profile.Degraded != 0 {
			d := profile.OperationPolicy
			d.Retry, d.Hedge, d.Stale = nil, nil, nil
			operations[name+degradedSuffix] = d
		}
	}
	p := c.guarding(operations)
	p.Name += isolatedSuffix
	return p
}

// guarding returns the guard with these operations.
func (c Config) guarding(operations map[string]resilience.OperationPolicy) resilience.Policy {
	p := c.Guard
	p.Operations = operations
	// The guard's own default operation is never used here.
	for _, profile := range c.Profiles {
		if p.Default.Timeout < profile.Timeout {
			p.Default = resilience.OperationPolicy{Timeout: profile.Timeout}
		}
	}
	return p
}
