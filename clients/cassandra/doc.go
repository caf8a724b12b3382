// Package cassandra is a Cassandra client none of whose requests runs without a
// guard.
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
// The standard library, package resilience, and, below internal/gocqldriver only,
// github.com/gocql/gocql. Spans' attributes live in telemetry.
//
// # What it promises
//
//   - The driver's retries, speculative execution and convictions are off. What is
//     repeated is decided here, from what the error says, and only if the profile
//     declares it idempotent or it was certainly never sent.
//   - A write whose fate is not known matches ErrOutcomeUnknown. It is never called
//     failed, and never repeated unless idempotent.
//   - A conditional write has one of three outcomes: applied, not applied (with the
//     current values), unknown.
//   - Requests that nobody waits for are counted, and a connection with too many is
//     replaced.
//   - What a node certainly did not process goes to the next node at once, to three at
//     most. A node that fails again and again is asked last, but for a trial now and
//     then; of two replicas the one that is expected to answer sooner is asked.
//   - A session outlives every outage of its cluster. It keeps its driver and its
//     connections where it can; if the cluster answers only at addresses that the
//     driver does not know, a new driver takes its place.
//   - No bound value, password or key is in an error, an event or a log line.
package cassandra
