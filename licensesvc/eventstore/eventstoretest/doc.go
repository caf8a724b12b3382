// Package eventstoretest is the test suite that every event store must pass. Each subtest is
// named after a defect that some other store had.
//
// It imports eventstore and testing aids. Only tests import it.
package eventstoretest
