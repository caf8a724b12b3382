// Package journal keeps promises on the local disk until the event store has
// taken them: entries are put in durably, listed while they are pending, and
// marked done.
//
// It may import the standard library only.
//
// It promises: Put returns without an error only when the entry is on disk; an
// entry is pending until Done, also after kill -9; a torn last record is cut off,
// damage anywhere else stops Open with the offset and what to do; one process at
// a time holds a journal.
package journal
