// Package eventstore says what a store of events does: append with an expected
// version, load a stream, read the feed, keep snapshots. Its folders hold the
// stores; eventstoretest is the suite that each of them passes.
//
// It imports the standard library and resilience.
//
// It promises, of every store: an acknowledged event is there for ever, exactly
// once, in one place of its stream's order. An append that may or may not have
// happened is called unknown, never failed and never done. A commit's id makes an
// append safe to repeat. The feed gives each slice's events at least once, in
// order within a stream, and never passes one by; no order or completeness
// depends on a clock.
package eventstore
