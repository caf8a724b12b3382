// Package service puts a whole license service together: store, journal, guards,
// API, dashboard, telemetry, and one HTTP server before them.
//
// It may import everything of licensesvc and resilience. It knows nothing of
// faults: a test that injects some passes a store or a transport that does.
//
// It promises: Start returns a service that answers, or an error that says what to
// do, with nothing left running; Shutdown loses no request that was begun.
package service
