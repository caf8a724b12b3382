// Package cqlproxy is a proxy between a driver and Cassandra nodes. It applies the faults
// of a plan to requests and answers of the native protocol.
//
// It speaks versions 3 to 5, with lz4 and snappy, knows prepared statements by their
// text, and rewrites the addresses in system tables and events, so that a driver that
// looks for the nodes itself stays on the proxy. Nodes without a proxy are hidden from the
// driver.
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
// Only rules that name an operation match those other requests, and only rules that name a
// keyspace, a table or a statement match reads of system tables, because a driver makes
// both for its own purposes. The statement of a batch consists of the texts of its parts.
// Its table and keyspace are those of its parts, joined by "," if they differ. If a
// statement was prepared before the proxy started, the proxy asks the client to prepare it
// again.
//
// A request's identity and scopes come from the W3C baggage header in its custom payload
// (key "baggage"), and its trace from the header traceparent there. Protocol versions 4
// and 5 have a custom payload; clients/cassandra fills it in with Config.Payload.
//
// # What this package may import
//
// The standard library, package chaos, chaos/internal, OpenTelemetry's propagation, and datastax/go-cassandra-native-protocol for
// its compressors, checksums and result messages.
//
// # What it promises
//
//   - While no rule is open, bytes pass unchanged, except for the addresses above.
//   - When a rule ends, a request or reply that it held goes on at once, and what the rule
//     would have done to a reply that is still to come does not happen.
//   - A request that the proxy cannot read passes, and the node answers it. A client that
//     breaks the framing gets the error that a node would send, and its connection ends.
//   - Close ends every connection and returns when its goroutines have ended.
package cqlproxy
