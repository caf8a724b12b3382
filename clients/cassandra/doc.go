// Package cassandra is a Cassandra client in which every request passes a guard of
// package resilience: timeouts, bulkhead, circuit breaker, retries, hedging, fallback.
//
// It looks like github.com/gocql/gocql, so that moving to it costs little:
//
//	session, err := cassandra.Connect(ctx, cassandra.Config{
//		Hosts:    []string{"10.0.0.1", "10.0.0.2"},
//		Keyspace: "licenses",
//		Profiles: map[string]cassandra.Profile{
//			"append": {OperationPolicy: resilience.OperationPolicy{Timeout: 2 * time.Second}, Consistency: cassandra.LocalQuorum, SerialConsistency: cassandra.LocalSerial},
//		},
//	})
//	err = session.Query("SELECT head FROM streams WHERE id = ?", id).WithContext(ctx).Profile("append").Scan(&head)
//
// A profile is an execution profile and an operation of the guard at once:
// consistency, timeouts, idempotence, retries, hedging, criticality, page size.
//
// # What this package may import
//
// The standard library, package resilience, and, below internal/gocqldriver and
// internal/codec only, github.com/gocql/gocql. Package telemetry makes spans and metrics,
// package cqltype has Go types for CQL types that the standard library lacks.
//
// # What it promises
//
//   - The driver's own retries, speculative execution and convictions are off. This package
//     decides what is repeated, by what the error means, and repeats only requests that
//     their profile declares idempotent or that were certainly never sent. A statement that
//     is not idempotent is refused under an idempotent profile, by the column types that
//     the server reports when it prepares the statement.
//   - A write whose outcome is not known matches ErrOutcomeUnknown. It is never reported as
//     failed, and never repeated unless it is idempotent. All attempts of a write carry the
//     same timestamp.
//   - A conditional write has one of three outcomes: applied, not applied (with the
//     current values), unknown.
//   - Only what the cluster did counts against it. Invalid requests, forged page tokens,
//     cancellation and deadlines of the caller that are shorter than the profile's neither
//     open the breaker nor make a node suspect.
//   - Requests that nobody waits for any more are counted. A node with too many of them
//     gets new connections once the requests that are waited for have been answered, or
//     after SilenceLimit. A connection that stays silent is replaced on its own.
//   - A request that a node certainly did not process goes to the next node at once, to
//     three nodes at most. A node that fails repeatedly is tried last, except for an
//     occasional trial. Of two replicas, the one expected to answer sooner is asked.
//   - A session outlives every outage of its cluster. It keeps its driver and its
//     connections where it can; if the cluster answers only at addresses that the
//     driver does not know, a new driver replaces the old one.
//   - No bound value, value in a statement's text, password or key appears in an error, an
//     event or a log line.
//   - No value is lost silently: null is nil, and a struct field, map key or column without
//     a counterpart is an error.
package cassandra
