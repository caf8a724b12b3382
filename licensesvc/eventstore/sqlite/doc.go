// Package sqlite is the embedded event store: one SQLite file, pure Go.
//
// It imports eventstore, resilience and modernc.org/sqlite.
//
// Loads, appends and settlements run under the store's guard, whose policy is made for one
// file on one disk.
//
// One goroutine writes, on one connection (WAL, synchronous=FULL, BEGIN IMMEDIATE). Appends
// that wait at the same time share one durable commit. Each has its own savepoint, so that
// an append that fails does not affect the others. The end of a caller's context ends its
// wait and never reaches the writer's connection.
//
// The outcome of a commit that failed is unknown: after an I/O error SQLite may find the
// commit in the log when the file is opened again. The writer then writes a fence: it
// commits another change, which either overwrites the doubtful frames or keeps them, and
// only then looks up which of the doubtful appends are stored. Until the fence is written,
// the writer accepts nothing else, and the doubtful appends are answered as unknown.
package sqlite
