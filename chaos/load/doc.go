// Package load sends requests at the times of a schedule, whatever the answers do
// (open loop), and records for each when it was meant to start, when it did, and
// when its answer came. Latency counts from the intended start, so that a stall
// is seen by every request that it would have met (no coordinated omission).
//
// It may import the standard library only.
//
// It promises: a schedule is a function of its stages and its seed; a generator
// that fell behind its schedule says so, and its run is void; Run returns after
// the last request has ended.
package load
