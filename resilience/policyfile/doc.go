// Package policyfile reads guards' policies from one YAML file, watches it, and swaps
// policies only when the whole file is valid.
//
//	guards:
//	  membership:
//	    bulkhead: {limit: 64}
//	    default: {timeout: 500ms}
//
// The keys below guards are the guards' names; the fields are those of
// resilience.Policy, by their yaml tags. Durations are Go's: 250ms, 1m30s. Keys at the
// top that begin with x- are ignored: a place for anchors, and for what other packages
// read by the same rules, see [Section].
//
// # Overrides
//
// An environment variable overrides one field of a guard that the file has. Its name is
// BACKSTAY_POLICY_, the guard and the path of the field, in upper case, words and
// parts parted by underscores; what is neither letter nor digit is an underscore too:
//
//	BACKSTAY_POLICY_KEY_SERVICE_BREAKER_MODE=open
//	BACKSTAY_POLICY_CATALOG_OPERATIONS_POLICY_ATTEMPT_TIMEOUT=150ms
//
// A field of a policy that is off switches it on. A variable of that prefix that names
// no field, or two, or whose value does not fit, makes the file bad: a kill switch with
// a typing error must not be silent.
//
// # What it may import, and promises
//
// It may import the standard library, resilience, goccy/go-yaml and fsnotify.
//
// It promises: unknown fields, wrong types and contradictions are errors with file,
// line, column and excerpt, or with the variable, all of them at once; a bad file
// changes nothing; guards keep their state over a change. A JSON Schema for editors is
// in policy.schema.json, see [Schema].
package policyfile
