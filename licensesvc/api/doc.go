// Package api serves the license service over HTTP: JSON, OpenAPI 3.1 made from
// the code at /openapi.json, problem details (RFC 9457) for every error.
//
//	POST /v1/members/{member}/licenses                          request a license
//	GET  /v1/members/{member}/licenses                          a member's licenses
//	GET  /v1/members/{member}/licenses/{license}                one license
//	GET  /v1/members/{member}/licenses/{license}/explanation    its story
//	POST /v1/members/{member}/licenses/{license}/renewals       renew
//	POST /v1/members/{member}/licenses/{license}/downloads      the device has the file
//	POST /v1/members/{member}/licenses/{license}/plays          a play begins, or began
//	POST /v1/members/{member}/licenses/{license}/release        give it back
//	POST /v1/members/{member}/licenses/{license}/revocation     end it
//	POST /v1/members/{member}/tokens                            bring a promise back
//	GET  /livez, /readyz                                        health
//
// A command carries an Idempotency-Key: the same key is answered by the same
// answer. 201 and 200 mean that it is in the store; 202 that it is promised and
// the store will have it; 409 that the rules do not allow it; 503 with
// Retry-After that it could not be decided, or that the outcome is not known yet
// ("outcome": "unknown"; the same key finds out).
//
// A request runs behind the service's own guard (package clients/rest/server): what
// can't be done in time, or is too much, is refused before it begins, with
// Backstay-Refused.
//
// It may import licensesvc/app and what app gives out, resilience,
// clients/rest/server, and huma. It decides nothing.
//
// It promises: every answer of the rules, also a refusal, says what it was decided on;
// no request lives longer than its deadline; an internal error never shows what is
// inside the service.
package api
