// Package chaostest makes the license service a target of scenarios: a whole service, the
// servers that it depends on, a proxy or a wrapper with faults before each, members who
// ask over HTTP and remember what they were answered, and checks that hold those answers
// against what went over the wire and what is in the store afterwards.
//
// It may import everything of licensesvc, clients, resilience and chaos.
//
// It promises: nothing that was started is left running after Close; a check judges by
// what clients saw, by the wire and by the store, never by what the service says of
// itself.
package chaostest
