package license

import (
	"slices"
	"strings"
	"time"
	"unique"
)

// packed is a license in the form in which a State holds it. It takes a third of the memory of a
// License, so that more members fit into memory. It never changes.
type packed struct {
	id, device string
	// Many licenses have the same title and studio, and the same kind.
	title, studio unique.Handle[string]
	kind          unique.Handle[kind]
	// These are nanoseconds since 1970, or 0 for the zero time.
	granted, since, expires, began, downloaded, firstPlay, released, revoked int64
	playCount, renewalCount                                                  int32
	provisional                                                              bool
	more                                                                     *more // nil: there is none
}

// kind is what the licenses of a plan, a country and a studio's terms have in common.
type kind struct {
	plan, country, deviceKind string
	limits                    Limits
	playback, notice          time.Duration
}

// more is what few licenses have.
type more struct {
	plays, renewed    []time.Time
	playDays          []PlayDay
	renewals, reports []string
	reason            string
	newer             []string
	// whole is the license if it has a time or a count that packed can't hold.
	whole *License
}

// pack returns the packed form of a license, which must not be changed any more.
func pack(l *License) *packed {
	p := &packed{
		id: l.ID, device: l.Device, title: unique.Make(l.Title), studio: unique.Make(l.Studio),
		kind:      unique.Make(kind{plan: l.Plan, country: l.Country, deviceKind: l.DeviceKind, limits: l.Limits, playback: l.Playback, notice: l.Notice}),
		playCount: int32(l.PlayCount), renewalCount: int32(l.RenewalCount), provisional: l.Provisional,
	}
	exact := int(p.playCount) == l.PlayCount && int(p.renewalCount) == l.RenewalCount
	for _, t := range []struct {
		from time.Time
		to   *int64
	}{
		{l.Granted, &p.granted}, {l.Since, &p.since}, {l.Expires, &p.expires}, {l.Began, &p.began},
		{l.Downloaded, &p.downloaded}, {l.FirstPlay, &p.firstPlay}, {l.Released, &p.released}, {l.Revoked, &p.revoked},
	} {
		if t.from.IsZero() {
			continue
		}
		*t.to = t.from.UnixNano()
		exact = exact && *t.to != 0 && time.Unix(0, *t.to).Equal(t.from)
	}
	if exact && len(l.Plays)+len(l.Renewed)+len(l.PlayDays)+len(l.Renewals)+len(l.Reports)+len(l.Reason)+len(l.Newer) == 0 {
		return p
	}
	p.more = &more{plays: l.Plays, renewed: l.Renewed, playDays: l.PlayDays, renewals: l.Renewals, reports: l.Reports, reason: l.Reason, newer: l.Newer}
	if !exact {
		p.more.whole = l
	}
	return p
}

// license returns the license. Its slices are those of the packed form.
func (p *packed) license() License {
	if p.more != nil && p.more.whole != nil {
		return *p.more.whole
	}
	k := p.kind.Value()
	l := License{
		ID: p.id, Device: p.device, Title: p.title.Value(), Studio: p.studio.Value(),
		Plan: k.plan, Country: k.country, DeviceKind: k.deviceKind, Limits: k.limits, Playback: k.playback, Notice: k.notice,
		Granted: instant(p.granted), Since: instant(p.since), Expires: instant(p.expires), Began: instant(p.began),
		Provisional: p.provisional, Downloaded: instant(p.downloaded), PlayCount: int(p.playCount), FirstPlay: instant(p.firstPlay),
		RenewalCount: int(p.renewalCount), Released: instant(p.released), Revoked: instant(p.revoked),
	}
	if m := p.more; m != nil {
		l.Plays, l.Renewed, l.PlayDays, l.Renewals, l.Reports, l.Reason, l.Newer = m.plays, m.renewed, m.playDays, m.renewals, m.reports, m.reason, m.newer
	}
	return l
}

func instant(nanos int64) time.Time {
	if nanos == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanos).UTC()
}

// newer returns the unknown events about the license.
func (p *packed) newer() []string {
	if p.more == nil {
		return nil
	}
	return p.more.newer
}

// byID are licenses, sorted by their ids. For the few that most members have, it takes less memory
// than a map, and less time to copy.
type byID []*packed

// find returns the place of a license, or the place where it is to be inserted.
func (b byID) find(id string) (int, bool) {
	return slices.BinarySearchFunc(b, id, func(p *packed, id string) int { return strings.Compare(p.id, id) })
}

// with returns the licenses with some replaced or added; changed is sorted by id.
func (b byID) with(changed []*License) byID {
	all := make(byID, 0, len(b)+len(changed))
	for _, l := range changed {
		i, found := b.find(l.ID)
		all = append(append(all, b[:i]...), pack(l))
		if found {
			i++
		}
		b = b[i:]
	}
	return append(all, b...)
}
