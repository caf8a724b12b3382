// Package sqlite is the embedded event store: one SQLite file, pure Go.
//
// It imports eventstore, eventstore/schema, resilience and modernc.org/sqlite.
//
// All calls except those of eventstore.Maintainer run under the store's guard, whose policy is
// made for one file on one disk.
//
// The file's tables change in steps (package schema), which Open takes while no other program
// has the file open. An event with its commit takes about 300 bytes in addition to its data.
//
// One goroutine writes, on one connection (WAL, synchronous=FULL, BEGIN IMMEDIATE). Appends
// that wait at the same time share one durable commit. An append that is refused has written
// nothing, and after any other error each of them runs again alone, so none makes the others
// fail. The end of a caller's context ends its wait and never reaches the writer's connection.
//
// The outcome of a commit that failed is unknown: after an I/O error SQLite may find the
// commit in the log when the file is opened again. The writer then writes a fence: it
// commits another change, which either overwrites the doubtful frames or keeps them, and
// only then looks up which of the doubtful appends are stored. Until the fence is written,
// the writer accepts nothing else, and the doubtful appends are answered as unknown.
package sqlite
