// Package telemetry describes the requests of clients/rest by OpenTelemetry's
// conventions for HTTP clients.
//
//	tel, err := telemetry.New(telemetry.Config{MeterProvider: meters})
//	transport := &rest.Transport{Guard: guard, Routes: routes, Observer: tel}
//
// Each attempt is a point of http.client.request.duration, and describes the span that
// is current: that of the attempt, which resilience/telemetry makes. Both have
// url.template, the pattern that the request matched, and never a path or a query.
//
// Answers of a cache (clients/rest/cache) are counted and put on the caller's span:
//
//	kept, err := cache.New(cache.Config{OnAnswer: tel.Cache("catalog")})
//
// # What this package may import
//
// The standard library, clients/rest and its cache, and the API of OpenTelemetry: not its SDK.
//
// # What it promises
//
// Providers are given: nothing is taken from OpenTelemetry's globals. Metrics have as
// many series as there are hosts, patterns, methods and statuses.
package telemetry
