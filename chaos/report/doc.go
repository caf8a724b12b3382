// Package report turns a run into something that a person can read: a verdict, its
// checks, and a timeline of load, goodput, latency, sources of data and breaker
// states against the faults. It writes one HTML page that needs nothing else, and
// the same as JSON.
//
// It may import the standard library and chaos/load.
//
// It promises: a verdict is passed only if every check passed, and undecided if a
// precondition did not hold; text from outside is escaped; the page loads nothing.
package report
