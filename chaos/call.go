package chaos

// A Call is what the injector is asked about: one call, request or connection.
// The zero value of a field is "not known", which patterns other than * and
// empty do not match.
type Call struct {
	Dependency string
	Operation  string
	Protocol   string // InProcess, HTTP, TCP, CQL or Node
	Node       string
	DataCenter string // of the node; rules can name it in the node's place

	// Identity names the request. Empty: the baggage member RequestKey names it,
	// or else the number of the call on its dependency and operation, by arrival.
	Identity string
	// Attempt is from 1. 0 means 1.
	Attempt int
	// Scopes are those of the request. Nil: those in the context's baggage.
	Scopes []string

	Method string // of HTTP
	Path   string // of HTTP

	Keyspace    string // of CQL
	Table       string // of CQL
	Statement   string // of CQL
	Consistency string // of CQL
	Conditional bool   // of CQL

	// Also is a further condition of the place that asks, such as that a rule's kind
	// can happen to this call: a rule that it refuses is passed over and does not
	// count the call. Nil: none. It must not change the rule, and must be safe for
	// concurrent use.
	Also func(*Rule) bool `json:"-" yaml:"-"`

	_ struct{}
}

// Matches says whether Where fits a call, whatever the time, the chance and the scopes.
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
