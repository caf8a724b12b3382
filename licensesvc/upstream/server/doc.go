// Package server holds the three services that the license service depends on, as small real HTTP
// servers: membership, catalog and key service. Their data is deterministic, so that a
// demonstration, a test and a reader with curl see the same members and titles.
//
// It may import the standard library, OpenTelemetry's HTTP instrumentation, resilience,
// clients/rest/server and the wire types of licensesvc/upstream.
//
// It promises: a request that can't be served within the caller's time is refused before it
// begins, with Backstay-Refused. Every error is a problem document (RFC 9457) that says what to
// do. Nothing is stored on disk. Shutdown ends every goroutine that Start began.
package server
