package chaos

import (
	"slices"
	"strconv"
	"time"
)

// Defaults of a plan, in one place.
const (
	// DefaultTTL is when a rule ends if the plan does not say when.
	DefaultTTL = 10 * time.Minute
	// MaxTTL is the longest that any fault may live.
	MaxTTL = 24 * time.Hour
)

// A Plan is a seed and rules. The zero value is a valid plan without faults. It
// is plain data: copy it, but do not change one that an Injector was made from
// (New keeps its own copy of the rules).
type Plan struct {
	Name string        `yaml:"name" doc:"what the plan is about, for people"`
	Seed uint64        `yaml:"seed" doc:"decides every draw; the same seed gives the same faults"`
	TTL  time.Duration `yaml:"ttl" doc:"how long a rule lives after its window opens, unless it says otherwise; default 10m, at most 24h"`

	// Rules are evaluated in order. Waits of several rules add up. Of the other
	// faults, only the first that applies happens.
	Rules []Rule `yaml:"rules" doc:"the faults, in order: waits add up, of the others the first wins"`

	_ struct{}
}

// A Rule is one fault with its conditions, all of which must hold. A condition that is
// left out always holds.
type Rule struct {
	// Name must be unique in the plan. Decisions depend on it, not on the rule's
	// place, so that a rule can be added without changing the others' draws.
	// Empty means "rule N".
	Name  string        `yaml:"name" doc:"unique; decisions hang on it, not on the rule's place; default \"rule N\""`
	Where Where         `yaml:"where" doc:"which calls; fields that are left out match all, * stands for any text"`
	When  When          `yaml:"when" doc:"at what time or at which call"`
	Often Often         `yaml:"often" doc:"how often"`
	What  What          `yaml:"what" doc:"the fault"`
	Whom  Whom          `yaml:"whom" doc:"whose requests"`
	TTL   time.Duration `yaml:"ttl" doc:"how long the rule lives after its window opens; default the plan's, at most 24h"`

	_ struct{}
}

// Where selects calls. Text fields are patterns in which * stands for any text;
// an empty field matches everything. Method, Path match HTTP calls only;
// Keyspace to Conditional match CQL requests only.
type Where struct {
	Dependency  string `yaml:"dependency" doc:"name of the dependency"`
	Operation   string `yaml:"operation" doc:"operation on it: a route, a CQL verb, a name given in code"`
	Protocol    string `yaml:"protocol" doc:"process, http, tcp, cql or node"`
	Node        string `yaml:"node" doc:"name or address of a node; of a cluster that is followed also a data centre, for each of its nodes"`
	Method      string `yaml:"method" doc:"HTTP method"`
	Path        string `yaml:"path" doc:"HTTP path"`
	Keyspace    string `yaml:"keyspace" doc:"CQL keyspace"`
	Table       string `yaml:"table" doc:"CQL table"`
	Statement   string `yaml:"statement" doc:"CQL text, also of prepared statements"`
	Consistency string `yaml:"consistency" doc:"CQL consistency level, like LOCAL_QUORUM"`
	Conditional *bool  `yaml:"conditional" doc:"true: only statements with IF; false: only those without"`

	_ struct{}
}

// When limits a rule in time and by call number. Times count from the plan's
// start. Call numbers count the calls that match Where and Whom while the window
// is open, from 1; or, with Per "request", the attempts of one request, which
// makes them independent of the order of arrival.
type When struct {
	From time.Duration `yaml:"from" doc:"the window opens this long after the start"`
	To   time.Duration `yaml:"to" doc:"the window closes this long after the start; 0: the TTL ends it"`

	RepeatEvery time.Duration `yaml:"repeat_every" doc:"within the window, on and off again with this period"`
	RepeatFor   time.Duration `yaml:"repeat_for" doc:"how long of each period the rule is on"`

	// Ramp lets the probability grow from 0 to its full value after From.
	Ramp time.Duration `yaml:"ramp" doc:"the probability grows from 0 to its full value in this time"`

	Nth   int `yaml:"nth" doc:"only the nth call"`
	After int `yaml:"after" doc:"only after that many calls"`
	First int `yaml:"first" doc:"only the first n calls: fail n, then succeed"`
	Every int `yaml:"every" doc:"only each nth call"`

	Per string `yaml:"per" doc:"what nth, after, first and every count: rule (default), all calls by arrival; request, the attempts of one request"`

	_ struct{}
}

// counts reports whether the rule has conditions on call numbers.
func (w When) counts() bool { return w.Nth > 0 || w.After > 0 || w.First > 0 || w.Every > 0 }

// Often limits how often a rule applies.
type Often struct {
	// Probability is between 0 (never) and 1 (always). Nil means 1.
	Probability *float64 `yaml:"probability" doc:"0 (never) to 1; default 1"`
	// Count ends the rule after that many faults; 0 means no such limit. Which
	// calls get the last of them depends on the order of arrival.
	Count int `yaml:"count" doc:"at most that many faults; 0: no limit"`

	_ struct{}
}

// Whom limits a rule to requests that carry a scope in their baggage, so that
// one user's request can be harmed in a shared system.
type Whom struct {
	// Scope is compared with the scopes in the baggage member
	// [ScopeKey]. Empty means everybody.
	Scope string `yaml:"scope" doc:"only requests whose baggage member backstay.chaos names this scope; default everybody"`

	_ struct{}
}

// What is a fault: a kind and its parameters. Which parameters a kind needs and
// takes is in the table [Kinds]; Check refuses others. If a parameter has no meaning at a
// place, the rule does not act there (see [Rule.Places]), so no parameter is ever ignored.
type What struct {
	Kind Kind `yaml:"kind" doc:"the kind of fault"`

	Delay        time.Duration `yaml:"delay" doc:"how long; the centre of the distribution; of reset and blackhole: until the connection ends"`
	Jitter       time.Duration `yaml:"jitter" doc:"half the width of uniform, the standard deviation of normal"`
	Distribution string        `yaml:"distribution" doc:"fixed, uniform, normal, pareto or histogram; default uniform with jitter, else fixed"`
	Shape        float64       `yaml:"shape" doc:"of pareto: above 0, smaller has a longer tail; default 3"`
	Histogram    []Bucket      `yaml:"histogram" doc:"recorded delays: upper bounds and counts"`
	Max          time.Duration `yaml:"max" doc:"no draw is longer; 0: no bound"`
	At           string        `yaml:"at" doc:"before (default) or after the call is carried out"`

	Message    string            `yaml:"message" doc:"text of the error"`
	Code       string            `yaml:"code" doc:"name of the error: one that the caller registered, or a CQL error like write_timeout"`
	Fields     map[string]string `yaml:"fields" doc:"fields of a CQL error, like received, required, write_type"`
	Status     int               `yaml:"status" doc:"HTTP status, 200 to 599"`
	Headers    map[string]string `yaml:"headers" doc:"HTTP headers of the answer"`
	Body       string            `yaml:"body" doc:"body of the answer"`
	RetryAfter time.Duration     `yaml:"retry_after" doc:"the Retry-After header, in whole seconds; of quota by default what is left of the period"`

	Direction   string        `yaml:"direction" doc:"downstream (to the client, default), upstream or both; of reset and drop on TCP: with the next bytes that go there, default at once"`
	Bytes       int64         `yaml:"bytes" doc:"number of bytes: let through before the fault (on TCP counted from when it meets the connection), or wrong by"`
	BytesPerS   int64         `yaml:"bytes_per_s" doc:"bytes per second"`
	ChunkBytes  int64         `yaml:"chunk_bytes" doc:"bytes a chunk, on average"`
	ChunkVary   int64         `yaml:"chunk_vary" doc:"a chunk is longer or shorter by up to this; less than chunk_bytes"`
	AfterBytes  int64         `yaml:"after_bytes" doc:"the fault begins after that many bytes of a connection's direction, or of an HTTP answer's body"`
	AfterUptime time.Duration `yaml:"after_uptime" doc:"the fault begins when the connection is that old"`

	Limit  int           `yaml:"limit" doc:"of quota: calls in each period; of connection_limit: connections at once"`
	Period time.Duration `yaml:"period" doc:"of quota: its period"`

	Skew time.Duration `yaml:"skew" doc:"how far the clock is ahead; negative: behind"`

	Peers  []string `yaml:"peers" doc:"of partition: the nodes that are cut off from the node in where, a data centre for its nodes, and clients for the machine that they are on; * stands for any text"`
	OneWay bool     `yaml:"one_way" doc:"of partition: only what the node sends is lost"`
	Free   int64    `yaml:"free_bytes" doc:"of disk_full: bytes that stay free"`

	_ struct{}
}

// HasPeer reports whether the peers of a partition include a node, by its own name or by
// that of its data centre. The peer Clients stands for no node.
func (w What) HasPeer(node, dataCenter string) bool {
	return slices.ContainsFunc(w.Peers, func(p string) bool { return p != "" && p != Clients && (match(p, node) || match(p, dataCenter)) })
}

// A Bucket is a part of a recorded histogram: Count delays were longer than the
// bucket before and at most UpTo.
type Bucket struct {
	UpTo  time.Duration `yaml:"up_to" doc:"upper bound of the bucket"`
	Count uint64        `yaml:"count" doc:"delays in it"`

	_ struct{}
}

// RuleName returns the name of the rule at index i, or "rule N" if it has none.
func (p Plan) RuleName(i int) string {
	if n := p.Rules[i].Name; n != "" {
		return n
	}
	return "rule " + strconv.Itoa(i+1)
}

// Window returns the time span in which the rule at index i may act, from the plan's start.
// It always ends.
func (p Plan) Window(i int) (from, to time.Duration) {
	r := p.Rules[i]
	ttl := r.TTL
	if ttl == 0 {
		ttl = p.TTL
	}
	if ttl == 0 {
		ttl = DefaultTTL
	}
	from, to = r.When.From, r.When.From+ttl
	if r.When.To > 0 {
		to = min(to, r.When.To)
	}
	return from, to
}

// End returns when the last rule ends, from the plan's start.
func (p Plan) End() time.Duration {
	var end time.Duration
	for i := range p.Rules {
		_, to := p.Window(i)
		end = max(end, to)
	}
	return end
}
