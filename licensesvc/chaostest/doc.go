// Package chaostest makes the license service a target of scenarios: a whole service, the
// servers that it depends on, a proxy or a wrapper that injects faults before each, members that
// send requests over HTTP and remember the answers, and checks that compare those answers
// with what went over the wire and with what is in the store afterwards. The scenarios are
// in the folder scenarios; [Library] reads them.
//
// It may import everything of licensesvc, clients, resilience and chaos.
//
// It promises: nothing that was started is left running after Close; a check judges by
// what clients saw, by the wire and by the store, never by what the service says about
// itself.
package chaostest
