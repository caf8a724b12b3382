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
// top that begin with x- are a place for anchors, and for what other packages keep in
// the file: see [Section].
//
// Open makes the guards of a file and returns them as a [Set], whose Watch takes
// changes. A program that makes its own guards, that needs more of its policies than
// every program, or that keeps more in the file says so in [Config].
//
// # Overrides
//
// An environment variable overrides one field of a guard that the file has. Its name is
// BACKSTAY_POLICY_, the guard and the path of the field, in upper case; what is neither
// letter nor digit is an underscore:
//
//	BACKSTAY_POLICY_KEY_SERVICE_BREAKER_MODE=open
//	BACKSTAY_POLICY_CATALOG_OPERATIONS_POLICY_ATTEMPT_TIMEOUT=150ms
//
// A field of a policy that is off switches it on. A variable of that prefix that names
// no field, or two, or whose value does not fit, makes the file bad: a kill switch with
// a typing error must not be silent. The variables that Kubernetes sets for a Service,
// such as BACKSTAY_POLICY_PORT, and BACKSTAY_POLICY_FILE are left alone.
//
// # What it may import, and promises
//
// It may import the standard library, resilience, internal/strictyaml, internal/suggest
// and fsnotify.
//
// It promises: unknown fields, wrong types and contradictions are problems with file,
// line, column and excerpt, or with the variable, all of them at once. A bad file
// changes nothing, in any section. The content that was read last wins, whatever else
// reloads at the same time. Guards keep their state over a change. What is in use stays:
// a file that drops a guard or an operation is refused. No lock is held while listeners
// and callbacks run.
package policyfile
