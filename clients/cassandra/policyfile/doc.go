// Package policyfile reads the profiles of Cassandra sessions from the file that holds
// the policies of all other guards (resilience/policyfile), and swaps them while the
// session runs, only when the whole of them is valid.
//
//	x-cassandra:
//	  licenses:
//	    guard: {bulkhead: {limit: 256, queue: 256}}
//	    failover: {dataCenter: dc2}
//	    profiles:
//	      append: {timeout: 2s, consistency: LOCAL_QUORUM, serialConsistency: LOCAL_SERIAL}
//	      show: {timeout: 300ms, idempotent: true, consistency: LOCAL_QUORUM, degraded: LOCAL_ONE, failover: true}
//
// The keys below x-cassandra are names of sessions; the fields are those of
// cassandra.Profile, cassandra.Failover and resilience.Policy, by their yaml tags; anchors
// that they refer to stand below x-cassandra too. Where
// the cluster is and how to log in is no policy, and stays in the program.
//
// It may import the standard library, clients/cassandra, resilience,
// resilience/policyfile for watching, and goccy/go-yaml.
//
// It promises: unknown fields, wrong types and contradictions are errors with file and
// line, all that can be told at once; a bad file changes nothing; sessions keep their
// state over a change.
package policyfile
