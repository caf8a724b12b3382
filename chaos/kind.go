package chaos

import "slices"

// A Kind is what a fault does. The table [Kinds] lists them all.
type Kind string

// The kinds.
const (
	Latency     Kind = "latency"
	Error       Kind = "error"
	Hang        Kind = "hang"
	Panic       Kind = "panic"
	WrongResult Kind = "wrong_result"
	ClockSkew   Kind = "clock_skew"

	Status       Kind = "status"
	SlowBody     Kind = "slow_body"
	Reset        Kind = "reset"
	Drop         Kind = "drop"
	Truncate     Kind = "truncate"
	Corrupt      Kind = "corrupt"
	WrongLength  Kind = "wrong_length"
	EndlessBody  Kind = "endless_body"
	RedirectLoop Kind = "redirect_loop"
	Quota        Kind = "quota"
	Refuse       Kind = "refuse"
	TLSFailure   Kind = "tls_failure"

	Bandwidth  Kind = "bandwidth"
	Slice      Kind = "slice"
	Blackhole  Kind = "blackhole"
	SlowClose  Kind = "slow_close"
	SlowAccept Kind = "slow_accept"
	HalfOpen   Kind = "half_open"
	Down       Kind = "down"

	ConnectionLimit Kind = "connection_limit"

	CQLError      Kind = "cql_error"
	DropReply     Kind = "drop_reply"
	ExecuteTwice  Kind = "execute_twice"
	DropRequest   Kind = "drop_request"
	WrongStream   Kind = "wrong_stream"
	StaleAnswer   Kind = "stale_answer"
	Unprepared    Kind = "unprepared"
	Overloaded    Kind = "overloaded"
	PauseReads    Kind = "pause_reads"
	HeartbeatLoss Kind = "heartbeat_loss"

	Stop      Kind = "stop"
	Kill      Kind = "kill"
	Pause     Kind = "pause"
	Partition Kind = "partition"
	DiskFull  Kind = "disk_full"
	BinaryOff Kind = "binary_off"
)

// The places where a fault can be applied. They are also the values of Where.Protocol.
const (
	InProcess = "process"
	HTTP      = "http"
	TCP       = "tcp"
	CQL       = "cql"
	Node      = "node"
)

// Protocols lists the values of Where.Protocol.
var protocols = []string{InProcess, HTTP, TCP, CQL, Node}

// Clients, as a peer of a partition, stands for the machine on which the clients run.
const Clients = "clients"

// KindInfo describes a kind.
type KindInfo struct {
	Kind   Kind
	Does   string   // in words, after the name of the dependency: "answers late"
	Places []string // values of Where.Protocol that it applies to
	Needs  []string // parameters of What that must be set
	Takes  []string // parameters that may be set; some have a meaning at some places only, see At
}

// At lists the parameters of What that the kind needs or takes at a place. The list is
// empty if the kind does not apply there.
func (k KindInfo) At(place string) []string {
	if !slices.Contains(k.Places, place) {
		return nil
	}
	return slices.DeleteFunc(slices.Concat(k.Needs, k.Takes), func(parameter string) bool {
		places, some := parameterPlaces[parameter]
		return some && !slices.Contains(places, place)
	})
}

// parameterPlaces lists the places where a parameter has a meaning, if that is not every
// place of its kinds. A rule acts only where all of its parameters have a meaning, so that
// no parameter is ever ignored.
var parameterPlaces = map[string][]string{
	"at":           {InProcess, HTTP, CQL},
	"code":         {InProcess, CQL},
	"direction":    {TCP, CQL},
	"after_bytes":  {HTTP, TCP, CQL},
	"after_uptime": {TCP, CQL},
}

var delays = []string{"delay", "jitter", "distribution", "shape", "histogram", "max"}
var triggers = []string{"after_bytes", "after_uptime"}

func with(a []string, more ...string) []string { return append(slices.Clone(a), more...) }

// Kinds lists every kind. Each call returns a new slice.
func Kinds() []KindInfo {
	tcpTriggered := with(triggers, "direction")
	return []KindInfo{
		{Latency, "is slow", []string{InProcess, HTTP, TCP, CQL}, nil, with(with(delays, tcpTriggered...), "at")},
		{Error, "fails", []string{InProcess, HTTP}, nil, []string{"message", "code"}},
		{Hang, "hangs", []string{InProcess, HTTP, TCP, CQL}, nil, with(tcpTriggered, "at")},
		{Panic, "panics", []string{InProcess}, nil, []string{"message"}},
		{WrongResult, "gives a wrong result", []string{InProcess}, nil, nil},
		{ClockSkew, "has a wrong clock", []string{InProcess}, []string{"skew"}, nil},

		{Status, "answers with an error status", []string{HTTP}, []string{"status"}, []string{"headers", "body", "retry_after"}},
		{SlowBody, "sends its body slowly", []string{HTTP}, nil, with(delays, "chunk_bytes", "bytes_per_s")},
		{Reset, "resets the connection", []string{HTTP, TCP, CQL}, nil, with(tcpTriggered, "delay", "at")},
		{Drop, "closes the connection without an answer", []string{HTTP, TCP, CQL}, nil, with(tcpTriggered, "at")},
		{Truncate, "cuts its answer short", []string{HTTP, TCP, CQL}, nil, []string{"bytes", "direction"}},
		{Corrupt, "sends damaged bytes", []string{HTTP, TCP, CQL}, nil, with(tcpTriggered, "bytes")},
		{WrongLength, "states a wrong length", []string{HTTP}, nil, []string{"bytes"}},
		{EndlessBody, "never ends its body", []string{HTTP}, nil, []string{"delay", "chunk_bytes"}},
		{RedirectLoop, "redirects in a circle", []string{HTTP}, nil, []string{"status"}},
		{Quota, "refuses above a quota", []string{HTTP}, []string{"limit", "period"}, []string{"status", "headers", "body", "retry_after"}},
		{Refuse, "refuses connections", []string{HTTP, TCP}, nil, nil},
		{TLSFailure, "fails the TLS handshake", []string{HTTP}, nil, nil},

		{Bandwidth, "has little bandwidth", []string{TCP}, []string{"bytes_per_s"}, tcpTriggered},
		{Slice, "sends in small pieces", []string{TCP}, []string{"chunk_bytes"}, with(tcpTriggered, "chunk_vary", "delay")},
		{Blackhole, "swallows all data", []string{TCP}, nil, with(tcpTriggered, "delay")},
		{SlowClose, "closes late", []string{TCP}, []string{"delay"}, []string{"direction"}},
		{SlowAccept, "accepts late", []string{TCP}, nil, delays},
		{HalfOpen, "is gone without a word (half-open)", []string{TCP}, nil, triggers},
		{Down, "is down", []string{TCP}, nil, nil},
		{ConnectionLimit, "has no connection left", []string{TCP}, []string{"limit"}, nil},

		{CQLError, "answers with a CQL error", []string{CQL}, []string{"code"}, []string{"message", "fields", "at"}},
		{DropReply, "executes and loses the reply", []string{CQL}, nil, nil},
		{ExecuteTwice, "executes twice", []string{CQL}, nil, nil},
		{DropRequest, "loses the request", []string{CQL}, nil, nil},
		{WrongStream, "answers on a wrong stream", []string{CQL}, nil, nil},
		{StaleAnswer, "gives an old answer", []string{CQL}, nil, nil},
		{Unprepared, "has forgotten a prepared statement", []string{CQL}, nil, nil},
		{Overloaded, "says that it is overloaded", []string{CQL}, nil, []string{"message"}},
		{PauseReads, "stops reading", []string{CQL}, nil, []string{"delay"}},
		{HeartbeatLoss, "does not answer heartbeats", []string{CQL}, nil, nil},

		{Stop, "is stopped", []string{Node}, nil, nil},
		{Kill, "is killed", []string{Node}, nil, nil},
		{Pause, "is paused", []string{Node}, nil, nil},
		{Partition, "is cut off", []string{Node}, []string{"peers"}, []string{"one_way"}},
		{DiskFull, "has a full disk", []string{Node}, nil, []string{"free_bytes"}},
		{BinaryOff, "closes its native protocol port", []string{Node}, nil, nil},
	}
}

// kindTable is Kinds by name.
var kindTable = func() map[Kind]KindInfo {
	m := make(map[Kind]KindInfo)
	for _, k := range Kinds() {
		m[k.Kind] = k
	}
	return m
}()

// Info describes the kind; ok is false if there is no such kind.
func (k Kind) Info() (info KindInfo, ok bool) {
	info, ok = kindTable[k]
	return info, ok
}

// AppliesTo reports whether the kind can happen at a place such as TCP.
func (k Kind) AppliesTo(place string) bool {
	return slices.Contains(kindTable[k].Places, place)
}

// Waits reports whether the kind only delays, so that faults of other rules still
// apply after it.
func (k Kind) Waits() bool {
	switch k {
	case Latency, SlowBody, Bandwidth, Slice, SlowClose, SlowAccept:
		return true
	}
	return false
}
