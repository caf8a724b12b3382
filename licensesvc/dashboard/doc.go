// Package dashboard is the live page of the license service: its dependencies with
// breaker, permits, latency and sources of answers, its traffic, the faults that
// are injected, a license's story, and how long the disk will last.
//
// It may import the standard library and resilience; what it shows comes through
// small interfaces.
//
// It promises: the page loads nothing from elsewhere; watching costs the service a
// bounded amount, whatever the number of watchers; Close ends every stream.
package dashboard
