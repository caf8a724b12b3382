package license

import (
	"fmt"
	"time"
)

// Warning says that a limit is near.
type Warning struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
	// Left is how much of the limit is left. For ends_soon it is the number of whole days.
	Left int `json:"left"`
	// From is when more is allowed than is left, if that is known.
	From time.Time `json:"from,omitzero"`
}

// These are the codes of warnings.
const (
	WarnLastDownload   = "last_download"
	WarnNoDownloadLeft = "no_download_left"
	WarnLastPlay       = "last_play"
	WarnLastRenewal    = "last_renewal"
	WarnNoRenewalLeft  = "no_renewal_left"
	WarnEndsSoon       = "ends_soon"
)

// decidedAt returns when a command was given that brings a device news of its license, or the zero
// time.
func decidedAt(c Command) time.Time {
	switch c := c.(type) {
	case Request:
		return c.At
	case Renew:
		return c.At
	case Play:
		return c.At
	case ReportPlay:
		return c.At
	}
	return time.Time{}
}

// endsSoon returns a warning if the license ends within its notice.
func (l License) endsSoon(at time.Time) []Warning {
	from := l.NoticeFrom()
	if from.IsZero() || at.Before(from) || !l.ActiveAt(at) {
		return nil
	}
	left := l.ExpiresAt().Sub(at)
	return []Warning{{Code: WarnEndsSoon, Detail: fmt.Sprintf("the download of %q ends at %s", l.Title, l.ExpiresAt().Format(time.RFC3339)), Left: int(left / (24 * time.Hour))}}
}

// downloadWarnings returns the warnings that come with a grant.
func (q question) downloadWarnings() []Warning {
	limit, title := q.license.Limits.TitleDownloads, q.license.Title
	left := limit - q.usage.title - 1
	if left > 1 {
		return nil
	}
	from := moreFrom(q.state.grantTimes(title, q.at), q.at, limit, left)
	if left == 1 {
		return []Warning{{WarnLastDownload, fmt.Sprintf("one more download of %q is left this year", title), 1, from}}
	}
	return []Warning{{WarnNoDownloadLeft, fmt.Sprintf("this was the last download of %q this year", title), 0, from}}
}

// renewalWarnings returns the warnings that come with a renewal.
func (q question) renewalWarnings() []Warning {
	limit, title := q.license.Limits.TitleRenewals, q.license.Title
	if limit <= 0 {
		return nil
	}
	times := q.state.renewalTimes(title, q.at)
	left := limit - len(times) - 1
	if left > 1 {
		return nil
	}
	from := moreFrom(times, q.at, limit, left)
	if left == 1 {
		return []Warning{{WarnLastRenewal, fmt.Sprintf("one more renewal of %q is left; after that, the next is possible from %s", title, from.Format(time.RFC3339)), 1, from}}
	}
	return []Warning{{WarnNoRenewalLeft, fmt.Sprintf("this was the last renewal of %q; the next is possible from %s", title, from.Format(time.RFC3339)), 0, from}}
}

// playWarnings returns the warnings that come with a play.
func (q question) playWarnings() []Warning {
	limit := q.license.Limits.TitlePlays
	if limit-q.usage.plays-1 != 1 {
		return nil
	}
	from := moreFrom(q.state.playTimes(q.license.Title, q.at), q.at, limit, 1)
	return []Warning{{WarnLastPlay, fmt.Sprintf("one more play of %q is left this year", q.license.Title), 1, from}}
}
