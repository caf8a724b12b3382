package api

import "net/http"

// problemType is the media type of problem details.
const problemType = "application/problem+json"

// KindsPage is the page that describes the kinds of problems. The type of a problem is the
// address of its kind on it, and never changes.
const KindsPage = "https://github.com/backstay-go/backstay/blob/main/docs/reference/problems.md"

// Kind is a kind of problem. Its text is the last part of its address.
type Kind string

// The kinds.
const (
	KindRefused      Kind = "refused"
	KindKeyTaken     Kind = "key-taken"
	KindUnavailable  Kind = "unavailable"
	KindBuilding     Kind = "building"
	KindUnknown      Kind = "unknown"
	KindOverloaded   Kind = "overloaded"
	KindDraining     Kind = "draining"
	KindOutOfTime    Kind = "out-of-time"
	KindTooMany      Kind = "too-many-requests"
	KindSlowBody     Kind = "slow-body"
	KindInvalid      Kind = "invalid"
	KindMalformed    Kind = "malformed"
	KindTooLarge     Kind = "too-large"
	KindMediaType    Kind = "media-type"
	KindNotFound     Kind = "not-found"
	KindNoVersion    Kind = "no-version"
	KindNoRoute      Kind = "no-route"
	KindNoMethod     Kind = "no-method"
	KindUnauthorized Kind = "unauthorized"
	KindForbidden    Kind = "forbidden"
	KindWrongHost    Kind = "wrong-host"
	KindError        Kind = "error"
)

// kinds gives each kind its title and the outcome of its problems.
var kinds = map[Kind]struct{ title, outcome string }{
	KindRefused:      {"refused by the rules", OutcomeRefused},
	KindKeyTaken:     {"the Idempotency-Key was used for another request", OutcomeRefused},
	KindUnavailable:  {"a dependency failed", OutcomeUnavailable},
	KindBuilding:     {"the view is being built", OutcomeUnavailable},
	KindUnknown:      {"the outcome is not known", OutcomeUnknown},
	KindOverloaded:   {"more requests than can be taken", OutcomeUnavailable},
	KindDraining:     {"the service is about to stop", OutcomeUnavailable},
	KindOutOfTime:    {"too little time is left", OutcomeUnavailable},
	KindTooMany:      {"too many requests of one caller", OutcomeUnavailable},
	KindSlowBody:     {"the body did not arrive in time", OutcomeInvalid},
	KindInvalid:      {"invalid request", OutcomeInvalid},
	KindMalformed:    {"malformed request", OutcomeInvalid},
	KindTooLarge:     {"the body is too large", OutcomeInvalid},
	KindMediaType:    {"the media type is not supported", OutcomeInvalid},
	KindNotFound:     {"no such license", OutcomeNotFound},
	KindNoVersion:    {"no such version", OutcomeNotFound},
	KindNoRoute:      {"nothing is here", OutcomeNotFound},
	KindNoMethod:     {"the method is not allowed", OutcomeInvalid},
	KindUnauthorized: {"no valid token", OutcomeForbidden},
	KindForbidden:    {"not allowed", OutcomeForbidden},
	KindWrongHost:    {"the service has another name", OutcomeForbidden},
	KindError:        {"the service failed", OutcomeError},
}

// Kinds returns every kind of problem.
func Kinds() []Kind {
	all := make([]Kind, 0, len(kinds))
	for k := range kinds {
		all = append(all, k)
	}
	return all
}

// Type returns the type of the problems of a kind.
func (k Kind) Type() string { return KindsPage + "#" + string(k) }

func (k Kind) title() string { return kinds[k].title }

// problemOf returns a problem of a kind.
func problemOf(k Kind, status int, detail string) *Problem {
	return &Problem{Type: k.Type(), Title: k.title(), Outcome: kinds[k].outcome, Status: status, Detail: detail}
}

// kindOfStatus returns the kind of a problem that huma found.
func kindOfStatus(status int) Kind {
	switch status {
	case http.StatusBadRequest:
		return KindMalformed
	case http.StatusRequestTimeout:
		return KindSlowBody
	case http.StatusRequestEntityTooLarge:
		return KindTooLarge
	case http.StatusUnsupportedMediaType:
		return KindMediaType
	case http.StatusUnprocessableEntity:
		return KindInvalid
	}
	return KindError
}

// kindOfRefusal returns the kind of a refusal by the server's handler (package
// clients/rest/server). refused is "" if the request may have been processed.
func kindOfRefusal(status int, refused string) Kind {
	switch {
	case status == http.StatusTooManyRequests:
		return KindTooMany
	case status == http.StatusRequestTimeout:
		return KindSlowBody
	case refused == "overload":
		return KindOverloaded
	case refused == "draining":
		return KindDraining
	case refused == "deadline":
		return KindOutOfTime
	case status == http.StatusInternalServerError:
		return KindError
	}
	return KindUnknown
}
