// Package dashboard is the live page of the license service. It shows the dependencies with
// breaker, permits, latency and sources of answers; the traffic; the injected faults; the story
// of a license; and how long the disk will last.
//
// It may import the standard library, resilience and internal/quantile. It reads what it shows
// through small interfaces.
//
// It promises: the page loads nothing from elsewhere; watching costs the service a bounded
// amount, whatever the number of watchers; Close ends every stream.
package dashboard
