// Package journal keeps promises on the local disk until the event store has them. Entries are
// written durably, listed while they are pending, and marked as done.
//
// It may import the standard library only.
//
// It promises: Put returns nil only when the entry is on disk. An entry is pending until Done,
// also after kill -9. An incomplete last record is cut off. Any other damage makes Open fail,
// with the offset and what to do. Only one process at a time can open a journal.
package journal
