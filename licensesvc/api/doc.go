// Package api serves the license service over HTTP, with JSON. Its OpenAPI 3.1 description,
// generated from the code, is at /openapi.json. Every error is a problem document (RFC 9457).
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
//	GET  /v1/members/{member}/history                           the state at a version or a time
//	GET  /v1/members/{member}/history/changes                   how two states differ
//	GET  /livez, /readyz                                        health
//
// A command carries an Idempotency-Key: a repeat with the same key gets the same answer.
// Status 200 or 201 means that the result is in the store. 202 means that it is promised, and
// will be stored later. 409 means that the rules do not allow it. 503 with Retry-After means
// that the command could not be decided, or that its outcome is not known yet ("outcome":
// "unknown"; a repeat with the same key finds out).
//
// A request runs behind the service's guard (package clients/rest/server). A request that is
// too much, or that can't be carried out in time, is refused before it begins, with
// Backstay-Refused.
//
// It may import licensesvc/app and the packages whose types app returns, resilience,
// clients/rest/server, and huma. It decides nothing.
//
// It promises: every answer of the rules, including a refusal, says on which data it was
// decided. No request takes longer than its deadline. An internal error never shows internals
// of the service.
package api
