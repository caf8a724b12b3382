package upstream

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/backstay-go/backstay/clients/rest"
	"github.com/backstay-go/backstay/resilience"
)

// ErrAnswer: a dependency answered, but the answer can't be right. It counts as a failure of
// the call, so remembered data is used instead. The answer itself is never remembered.
var ErrAnswer = errors.New("upstream: the answer can't be right")

// errAbsent: the dependency says that there is no such member or title. That is an answer, not
// a failure: no fallback replaces it, and it is not remembered.
var errAbsent = errors.New("upstream: absent")

// The limits of what a catalog can answer.
const (
	maxHours   = 5 * 365 * 24
	maxCount   = 1_000_000
	minWrapped = 12 + 16 + 1 // a nonce, a tag, and something to protect
)

// judged gives the error of a call its verdict for this service. A status that a correct
// dependency never answers (redirects, 401, 403 and other refusals) means that the request did
// not reach it, or that it is configured wrongly. It is a failure, and remembered data is the
// fallback.
func judged(err error) error {
	var status *rest.StatusError
	switch {
	case err == nil:
		return nil
	case rest.IsStatus(err, http.StatusNotFound):
		return resilience.WithVerdict(fmt.Errorf("%w: %w", errAbsent, err), resilience.Verdict{Outcome: resilience.Ignored, Repeat: resilience.RepeatNever})
	case errors.As(err, &status) && status.Verdict().Outcome == resilience.Ignored:
		return resilience.WithVerdict(err, resilience.Verdict{Outcome: resilience.Failure, Repeat: resilience.RepeatNever})
	}
	return err
}

// wrong returns the error of an answer that can't be right.
func wrong(dependency, format string, args ...any) error {
	return resilience.WithVerdict(fmt.Errorf("%w: %s: %s", ErrAnswer, dependency, fmt.Sprintf(format, args...)), resilience.Verdict{Outcome: resilience.Failure})
}

func checkMember(m Member, id string) error {
	switch {
	case m.ID != id:
		return wrong(Membership, "asked for member %q, it is about %q", id, m.ID)
	case m.Status != StatusActive && m.Status != StatusSuspended:
		return wrong(Membership, "status %q of member %q is not known: there are %s and %s", m.Status, id, StatusActive, StatusSuspended)
	case !KnownPlan(m.Plan):
		return wrong(Membership, "plan %q of member %q is not known", m.Plan, id)
	}
	return nil
}

func checkTitle(t Title, id string) error {
	switch studio := StudioOf(id); {
	case t.ID != id:
		return wrong(Catalog, "asked for title %q, it is about %q", id, t.ID)
	case t.Studio == "" || studio != "" && t.Studio != studio:
		return wrong(Catalog, "title %q is of studio %q", id, t.Studio)
	case !t.Offline: // The terms mean nothing.
		return nil
	case t.Terms.Version == "":
		return wrong(Catalog, "the terms of title %q have no version", id)
	}
	for _, n := range []struct {
		name             string
		value, low, high int
	}{
		{"studio_downloads", t.Terms.StudioDownloads, 0, maxCount},
		{"title_downloads_per_year", t.Terms.TitleDownloadsPerYear, 0, maxCount},
		{"title_plays_per_year", t.Terms.TitlePlaysPerYear, 0, maxCount},
		{"license_hours", t.Terms.LicenseHours, 1, maxHours},
		{"renewal_hours", t.Terms.RenewalHours, 0, maxHours},
		{"playback_hours", t.Terms.PlaybackHours, 1, maxHours},
	} {
		if n.value < n.low || n.value > n.high {
			return wrong(Catalog, "%s of title %q is %d, outside %d to %d", n.name, id, n.value, n.low, n.high)
		}
	}
	return nil
}

func checkKey(k Key, want KeyRequest) error {
	switch {
	case k.ID == "" || k.Algorithm == "":
		return wrong(KeyService, "the key for title %q has id %q and algorithm %q", want.Title, k.ID, k.Algorithm)
	case len(k.Wrapped) < minWrapped:
		return wrong(KeyService, "the key for title %q has %d bytes", want.Title, len(k.Wrapped))
	}
	return nil
}
