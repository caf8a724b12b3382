// Package load sends requests at the times of a schedule, whatever the answers do (open loop).
// For each request it records when it was meant to start, when it started, and when its answer
// came. Latency counts from the intended start, so that a stall shows in every request that it
// affects (no coordinated omission).
//
// It may import the standard library and internal/quantile.
//
// It promises: a schedule depends only on its stages and its seed. A generator that fell
// behind its schedule says so, and its run is void. Run returns after the last request has
// ended.
package load
