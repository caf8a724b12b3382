package chaos

// A Call describes one call, request or connection that the injector decides about.
// The zero value of a field means "not known"; only an empty pattern and the pattern *
// match it.
type Call struct {
	Dependency string
	Operation  string
	Protocol   string // InProcess, HTTP, TCP, CQL or Node
	Node       string
	DataCenter string // of the node; rules can name it in the node's place

	// Identity names the request. If it is empty, the baggage member RequestKey gives the
	// name; without that member it is the number of the call on its dependency and
	// operation, in the order of arrival.
	Identity string
	// Attempt is the number of the attempt, counted from 1. Zero means 1.
	Attempt int
	// Scopes are the scopes of the request. If nil, those in the context's baggage are used.
	Scopes []string

	Method string // of HTTP
	Path   string // of HTTP

	Keyspace    string // of CQL
	Table       string // of CQL
	Statement   string // of CQL
	Consistency string // of CQL
	Conditional bool   // of CQL

	// Also is a further condition of the place that injects the fault, for example that a
	// rule's kind can happen to this call. A rule for which it returns false is skipped and
	// does not count the call. Nil means no further condition. It must not change the rule,
	// and must be safe for concurrent use.
	Also func(*Rule) bool `json:"-" yaml:"-"`

	_ struct{}
}

// Matches reports whether Where matches a call. It does not look at time, probability or
// scopes.
func (r Rule) Matches(c Call) bool { return r.matches(&c) }

func (r *Rule) matches(c *Call) bool {
	return r.Where.matches(c) && (c.Also == nil || c.Also(r))
}

func (w *Where) matches(c *Call) bool {
	return (w.Protocol == "" || w.Protocol == c.Protocol) &&
		match(w.Dependency, c.Dependency) && match(w.Operation, c.Operation) &&
		(match(w.Node, c.Node) || c.DataCenter != "" && match(w.Node, c.DataCenter)) &&
		match(w.Method, c.Method) && match(w.Path, c.Path) &&
		match(w.Keyspace, c.Keyspace) && match(w.Table, c.Table) && match(w.Statement, c.Statement) &&
		match(w.Consistency, c.Consistency) &&
		(w.Conditional == nil || *w.Conditional == c.Conditional)
}
