// Package history records what the clients of an event store saw, and judges it. Is there,
// stream by stream, one order of all operations that explains every answer (linearizability)?
// Is each stream free of gaps, duplicates and forks? Is each acknowledged commit there exactly
// once, and no refused one?
//
//	r := history.New()
//	op := r.Append("stream", "commit-1", 0)
//	// ... append ...
//	op.Applied(1)
//	checks := r.Judge(ctx, final)
//
// An operation whose outcome is unknown may take effect at any later time, or never. The
// package porcupine searches for an order. The search has a time limit, beyond which the check
// is undecided.
//
// It may import the standard library, porcupine and chaos/report.
//
// It promises: a history is judged only by what was recorded, so it can be kept and judged
// again. The judge is tested with histories written by hand, and with stores that have defects
// on purpose.
package history
