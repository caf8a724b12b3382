// Package history records what the clients of an event store saw, and judges it: is
// there one order of all operations, stream by stream, that explains every answer
// (linearizability); is each stream without a gap, a duplicate or a fork; is each
// acknowledged commit there exactly once, and no refused one.
//
//	r := history.New()
//	op := r.Append("stream", "commit-1", 0)
//	// ... append ...
//	op.Applied(1)
//	checks := r.Judge(ctx, final)
//
// An operation whose outcome is not known may take effect at any later time, or never.
// The search for an order is porcupine's; it has a bound of time, beyond which the check
// is undecided.
//
// It may import the standard library, porcupine and chaos/report.
//
// It promises: a history is judged by what was recorded alone, so it can be kept and
// judged again; the judge is tested with histories made by hand and with stores that have
// defects on purpose.
package history
