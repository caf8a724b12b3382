// Package eventstoretest is the suite that every event store passes. Each subtest
// is named after what went wrong in some other store.
//
// It imports eventstore and testing aids. Tests import it.
package eventstoretest
