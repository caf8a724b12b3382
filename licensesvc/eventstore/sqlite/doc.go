// Package sqlite is the embedded event store: one SQLite file, pure Go.
//
// It imports eventstore and modernc.org/sqlite.
//
// One goroutine writes, on one connection (WAL, synchronous=FULL, BEGIN
// IMMEDIATE). Appends that wait at the same time share one durable commit, each
// in a savepoint of its own, so that a bad one fails alone. A caller's context
// ends its wait and never reaches the writer's connection.
//
// A commit that failed is unknown: with an I/O error SQLite may find it in the log
// when the file is opened again. The writer then fences: it commits something
// else, which either overwrites the doubtful frames or has kept them, and only
// then looks which of the doubtful appends are there. Until the fence holds,
// nothing else is written, and what is in doubt is answered as unknown.
package sqlite
