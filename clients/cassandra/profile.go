package cassandra

import (
	"fmt"

	"github.com/backstay-go/backstay/resilience"
)

// Consistency is a consistency level, with the protocol's code. In a configuration the
// zero value means "not set". (In the protocol it is ANY. This package does not offer
// ANY, because a write that only a hint holds can't be read.)
type Consistency uint16

// The consistency levels. Serial and LocalSerial are levels for the SerialConsistency
// of conditional writes. As the Consistency of a read they make the read see every
// conditional write that was accepted before it.
const (
	One         Consistency = 0x01
	Two         Consistency = 0x02
	Three       Consistency = 0x03
	Quorum      Consistency = 0x04
	All         Consistency = 0x05
	LocalQuorum Consistency = 0x06
	EachQuorum  Consistency = 0x07
	Serial      Consistency = 0x08
	LocalSerial Consistency = 0x09
	LocalOne    Consistency = 0x0A
)

var consistencyNames = map[Consistency]string{
	0: "ANY", One: "ONE", Two: "TWO", Three: "THREE", Quorum: "QUORUM", All: "ALL", LocalQuorum: "LOCAL_QUORUM",
	EachQuorum: "EACH_QUORUM", Serial: "SERIAL", LocalSerial: "LOCAL_SERIAL", LocalOne: "LOCAL_ONE",
}

// String returns the level's name in CQL, for example LOCAL_QUORUM.
func (c Consistency) String() string {
	if name, ok := consistencyNames[c]; ok {
		return name
	}
	return fmt.Sprintf("consistency(%d)", uint16(c))
}

// IsSerial reports whether the level is SERIAL or LOCAL_SERIAL.
func (c Consistency) IsSerial() bool { return c == Serial || c == LocalSerial }

// MarshalText makes a level readable in JSON and YAML.
func (c Consistency) MarshalText() ([]byte, error) {
	if c == 0 {
		return nil, nil
	}
	return []byte(c.String()), nil
}

// UnmarshalText reads what String writes.
func (c *Consistency) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*c = 0
		return nil
	}
	for level, name := range consistencyNames {
		if level != 0 && name == string(text) {
			*c = level
			return nil
		}
	}
	return fmt.Errorf("%w: consistency %q is none of ONE, TWO, THREE, QUORUM, ALL, LOCAL_QUORUM, EACH_QUORUM, SERIAL, LOCAL_SERIAL, LOCAL_ONE", ErrConfig, text)
}

// Profile says how one kind of request runs. It is an operation of the session's
// guard, with what Cassandra needs in addition. It is plain data.
type Profile struct {
	// OperationPolicy: timeouts, idempotence, retries, hedging, criticality. Timeout
	// is required. A hedge goes to another node than the attempt it helps.
	resilience.OperationPolicy `yaml:",inline"`
	// Consistency of the request. Required.
	Consistency Consistency `json:"consistency" yaml:"consistency"`
	// SerialConsistency of conditional writes, Serial or LocalSerial. Zero: the
	// profile may not run conditional writes.
	SerialConsistency Consistency `json:"serial_consistency,omitempty" yaml:"serial_consistency,omitempty"`
	// PageSize in rows. Default: 1000.
	PageSize int `json:"page_size,omitempty" yaml:"page_size,omitempty"`
	// Degraded is the level at which a read is tried once more when it failed at
	// Consistency, or when the guard's breaker is open; the result says so. Such reads run
	// isolated. Zero: never.
	Degraded Consistency `json:"degraded,omitempty" yaml:"degraded,omitempty"`
	// Isolated runs requests under a second guard with the same numbers and a separate
	// breaker: requests that need one replica go on while the first guard's breaker is open
	// because no quorum is available. Default: false.
	Isolated bool `json:"isolated,omitempty" yaml:"isolated,omitempty"`
	// Failover lets requests go to the data centre that Config.Failover names when the
	// local one can't answer; writes only if they are idempotent or were never sent. The
	// result says so, and such a call may take twice its Timeout. Default: false.
	Failover bool `json:"failover,omitempty" yaml:"failover,omitempty"`
	// Decision marks reads that something is decided on. They may not degrade.
	Decision bool `json:"decision,omitempty" yaml:"decision,omitempty"`
	_        struct{}
}

// defaultPageSize is smaller than the driver's 5000: a page is held in memory.
const defaultPageSize = 1000

func (p Profile) withDefaults() Profile {
	if p.PageSize == 0 {
		p.PageSize = defaultPageSize
	}
	return p
}

// check appends what is wrong with the profile.
func (p Profile) check(name string, add func(field string, value any, advice string)) {
	at := "Profiles[" + name + "]."
	_, known := consistencyNames[p.Consistency]
	switch {
	case p.Consistency == 0:
		add(at+"Consistency", "unset", "set it, for example to cassandra.LocalQuorum")
	case !known:
		add(at+"Consistency", uint16(p.Consistency), "use one of this package's constants")
	}
	if p.SerialConsistency != 0 && !p.SerialConsistency.IsSerial() {
		add(at+"SerialConsistency", p.SerialConsistency, "use Serial or LocalSerial")
	}
	if p.Consistency.IsSerial() && p.SerialConsistency != 0 && p.Consistency != p.SerialConsistency {
		add(at+"SerialConsistency", p.SerialConsistency, "a read at "+p.Consistency.String()+" and writes at the other serial level do not see each other; use one")
	}
	if p.SerialConsistency == LocalSerial && (p.Consistency == Quorum || p.Consistency == All || p.Consistency == EachQuorum) {
		add(at+"SerialConsistency", p.SerialConsistency, "LOCAL_SERIAL decides in one data centre while "+p.Consistency.String()+" waits for all; use LocalQuorum with it, or Serial")
	}
	if p.SerialConsistency != 0 && p.Idempotent {
		add(at+"Idempotent", true, "a conditional write is not idempotent: its second run meets its first; take it off, and resolve unknown outcomes by reading")
	}
	if p.PageSize < 0 {
		add(at+"PageSize", p.PageSize, "use a positive number of rows, or 0 for the default")
	}
	p.checkFailover(at, add)
	switch {
	case p.Degraded == 0:
	case p.Decision:
		add(at+"Degraded", p.Degraded, "a read that something is decided on may not degrade; take one of the two off")
	case p.Degraded.IsSerial() || strength(p.Degraded) >= strength(p.Consistency):
		add(at+"Degraded", p.Degraded, "it is no weaker than "+p.Consistency.String()+"; use for example LocalOne")
	}
}

// strength orders the levels by the number of replicas for which they wait.
func strength(c Consistency) int {
	switch c {
	case LocalOne:
		return 1
	case One:
		return 2
	case Two:
		return 3
	case Three:
		return 4
	case LocalQuorum:
		return 5
	case Quorum:
		return 6
	case EachQuorum:
		return 7
	case All:
		return 8
	}
	return 9
}
