// Package eventstore defines what a store of events does: append with an expected version,
// load a stream, read the feed, store snapshots. Each of these is an interface; Store is their
// union. The packages below it are the stores. Package eventstoretest is the test suite that
// every store must pass, package schema brings a store's tables up to date.
//
// It imports the standard library, resilience and eventstore/schema.
//
// Every store promises: An acknowledged event is stored permanently, exactly once, at one
// position of its stream. If it is not known whether an append has happened, its outcome is
// unknown; it is never reported as failed or as done. The id of a commit makes it safe to
// repeat an append. The feed delivers the events of each slice at least once, in order within
// a stream, and misses none. Neither order nor completeness depends on a clock.
package eventstore
