// Package report turns a run into something that a person can read: a verdict, its checks, and
// a timeline of load, goodput, latency, sources of data and breaker states against the faults.
// It writes one HTML page that needs no other file, and the same content as JSON.
//
// It may import the standard library, chaos/load and internal/quantile.
//
// It promises: a verdict is passed only if every check passed, and undecided if a precondition
// did not hold. Text from outside is escaped. The page loads nothing.
package report
