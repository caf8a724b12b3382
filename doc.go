// Package backstay is the root of a toolkit that keeps a service standing when
// what it depends on fails. It holds no code; start with one of
//
//   - resilience: one guard per dependency, and clients/cassandra and clients/rest
//     that can't be used without one;
//   - chaos: one fault language, from a function call to a real node's disk;
//   - licensesvc: an event-sourced service that shows both.
//
// The tests in this folder are the rules of the tree: which package may import
// which other, what every package documents, what code and documents must look like, and what tests
// may not do.
package backstay
