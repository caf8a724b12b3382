// Package policyfile reads the profiles of Cassandra sessions from the file that holds
// the policies of all other guards (resilience/policyfile), together with those, and
// swaps them while the session runs, only when the whole file is valid. See [Sessions].
//
//	x-cassandra:
//	  licenses:
//	    guard: {bulkhead: {limit: 256, queue: 256}}
//	    failover: {data_center: dc2}
//	    profiles:
//	      append: {timeout: 2s, consistency: LOCAL_QUORUM, serial_consistency: LOCAL_SERIAL}
//	      show: {timeout: 300ms, idempotent: true, consistency: LOCAL_QUORUM, degraded: LOCAL_ONE, failover: true}
//
// The keys below x-cassandra are names of sessions; the fields are those of
// cassandra.Profile, cassandra.Failover and resilience.Policy, by their yaml tags. Where
// the cluster is and how to log in is no policy, and stays in the program.
//
// An environment variable overrides one field of what the file has: BACKSTAY_CASSANDRA_,
// the session and the path of the field, as package resilience/policyfile has it:
//
//	BACKSTAY_CASSANDRA_LICENSES_PROFILES_SHOW_DEGRADED=LOCAL_ONE
//	BACKSTAY_CASSANDRA_LICENSES_GUARD_BULKHEAD_LIMIT=64
//
// It may import the standard library, clients/cassandra, resilience and
// resilience/policyfile.
//
// It promises: unknown fields, wrong types and contradictions are errors with file,
// line, column and excerpt, or with the variable, all of them at once, and with the word
// that was likely meant; a bad file changes nothing; sessions keep their state over a
// change. A JSON Schema of the whole file is in policy.schema.json, see [Schema].
package policyfile
