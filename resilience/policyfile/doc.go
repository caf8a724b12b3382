// Package policyfile reads guards' policies from one YAML file, watches it, and swaps
// policies only when the whole file is valid.
//
//	guards:
//	  membership:
//	    bulkhead: {limit: 64}
//	    default: {timeout: 500ms}
//
// The keys below guards are the guards' names; the fields are those of
// resilience.Policy, by their yaml tags. Durations are Go's: 250ms, 1m30s.
//
// It may import the standard library, resilience, goccy/go-yaml and fsnotify.
//
// It promises: unknown fields, wrong types and contradictions are errors with file,
// line and excerpt, all of them at once; a bad file changes nothing; guards keep their
// state over a change.
package policyfile
