package api

import "github.com/backstay-go/backstay/licensesvc/app"

// The outcomes of requests that were not carried out. The outcomes of requests that were
// carried out are defined in package app.
const (
	// OutcomeRefused: the rules say no.
	OutcomeRefused = "refused"
	// OutcomeUnavailable: a dependency failed, and nothing was done.
	OutcomeUnavailable = "unavailable"
	// OutcomeUnknown: it may have been carried out. Send it again with the same key to find
	// out.
	OutcomeUnknown = "unknown"
	// OutcomeInvalid: the request is invalid.
	OutcomeInvalid = "invalid"
	// OutcomeNotFound: there is no such license.
	OutcomeNotFound = "not_found"
	// OutcomeForbidden: the caller's token does not allow it.
	OutcomeForbidden = "forbidden"
	// OutcomeError: the service itself failed.
	OutcomeError = "error"
)

// Outcomes returns every outcome that an answer or a problem can have, the best first.
func Outcomes() []string {
	return []string{string(app.Done), string(app.Promised), string(app.Accepted), OutcomeRefused, OutcomeInvalid, OutcomeNotFound,
		OutcomeForbidden, OutcomeUnknown, OutcomeUnavailable, OutcomeError}
}
