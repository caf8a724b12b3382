// Package service assembles a complete license service: store, journal, guards, API,
// dashboard, telemetry, and one HTTP server in front of them.
//
// It may import everything of licensesvc and resilience, and internal/quantile. It knows nothing about faults: a test
// that injects faults passes in a store or a transport that has them.
//
// It promises: Start returns a service that answers, or an error that says what to do, and
// then nothing is left running. Shutdown loses no request that has begun.
package service
