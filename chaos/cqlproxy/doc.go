// Package cqlproxy stands between a driver and Cassandra nodes and does to requests
// and answers of the native protocol what a plan says.
//
// It speaks versions 3 to 5, with lz4 and snappy, knows prepared statements by their
// text, and rewrites the addresses in system tables and events, so that a driver that
// looks for the nodes itself stays on the proxy. Nodes before which no proxy stands
// are hidden from it.
//
//	proxy, err := cqlproxy.Start(ctx, cqlproxy.Config{Dependency: "cassandra", Injector: injector, Nodes: []cqlproxy.Node{
//		{Name: "node1", Listen: "127.1.0.1:9042", Upstream: "10.0.0.1:9042"},
//		{Name: "node2", Listen: "127.1.0.2:9042", Upstream: "10.0.0.2:9042"},
//	}})
//	the driver's contact points are proxy.Addrs()
//
// Each kind of fault is one file, named after it; effect.go has the table.
//
// # What rules match
//
// Operation is the statement's first word, like SELECT or INSERT, BATCH, or the name of
// another request: PREPARE, OPTIONS (heartbeats too), STARTUP, AUTH_RESPONSE, REGISTER.
// Those others are matched only by rules that name an operation; reads of system tables
// only by rules that name a keyspace, a table or a statement: they are what a driver
// does for itself. A batch's statement is the texts of its parts, its table and keyspace
// those of its parts, joined by "," if they differ. Statements that were prepared before
// the proxy was there are learned by asking the client to prepare them again.
//
// A request's identity and scopes are those in the W3C baggage header of its custom
// payload (key "baggage"), its trace that of the header traceparent there. Protocol
// versions 4 and 5 have one; clients/cassandra fills it in with Config.Payload.
//
// # What this package may import
//
// The standard library, package chaos, OpenTelemetry's propagation, and datastax/go-cassandra-native-protocol for
// its compressors, checksums and result messages.
//
// # What it promises
//
//   - While no rule is open, bytes pass unchanged, except for the addresses above.
//   - When a rule ends, a request or reply that it held goes on at once, and what the rule
//     would have done to a reply that is still to come does not happen.
//   - A request that the proxy cannot read passes, and the node answers it. A client that
//     breaks the framing gets the error that a node gives, and its connection ends.
//   - Close ends every connection and returns when its goroutines have ended.
package cqlproxy
