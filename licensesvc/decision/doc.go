// Package decision records how commands were decided: the command with everything that it was
// decided on, the outcome and the reason. Events only say what was granted; a record also exists
// for a refusal, and holds the inputs from which the same decision can be made again under other
// rules.
//
// It may import licensesvc/license and licensesvc/codec.
//
// It promises:
//
//   - [Log.Record] never waits and never fails: if the buffer or the disk is full, the record is
//     dropped and counted;
//   - the log is bounded by bytes and by age;
//   - a crash loses at most the records that were not written yet, and never damages those before;
//   - a [Reader] leaves out and counts what is damaged, and what a newer program wrote.
//
// A record is not a promise: nothing is synced to the disk, and no answer depends on one.
package decision
