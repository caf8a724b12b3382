package app

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/license"
	"github.com/backstay-go/backstay/licensesvc/upstream"
	"github.com/backstay-go/backstay/resilience"
)

// Disk is the name of the disk as a dependency.
const Disk = "disk"

// reserve is the part of a request's time that is kept for a promise, in case the store does
// not answer. A promise needs a key and one synced write.
const reserve = 400 * time.Millisecond

// RequestInput asks for a new license.
type RequestInput struct {
	Member, Device, Title string
	// Country is where the device is, two upper-case letters, and DeviceKind is its kind, such as
	// phone. Both are optional. A repeated request may name others; those of the first one count.
	Country, DeviceKind string
	// Key is the client's Idempotency-Key. A request with the same key gets the same license.
	Key  string
	Meta Meta
}

func (in RequestInput) check() error {
	return errors.Join(checkID("member", in.Member), checkID("device", in.Device), checkID("title", in.Title), checkKey("Idempotency-Key", in.Key),
		checkCountry(in.Country), checkDeviceKind(in.DeviceKind))
}

// Request grants a license, promises one, or says why not. The error is a *Refused, an
// *Unavailable, one or more *InputErrors, or an internal error.
func (s *Service) Request(ctx context.Context, in RequestInput) (answer Answer, err error) {
	if err := in.check(); err != nil {
		return Answer{}, err
	}
	c := &command{identity: identity{Member: in.Member, Name: "request", Key: in.Key, Content: contentOf(in.Device, in.Title)},
		license: licenseID(in.Member, in.Key), meta: in.Meta, at: s.now()}
	defer func() { s.record(c, answer, err, false) }()
	if err := cmp.Or(s.refusals.of(c), s.room(c)); err != nil {
		return Answer{}, err
	}
	member, title, err := s.ask(ctx, c, s.upstream.MemberToIssue, in.Title)
	if err != nil {
		return Answer{}, err
	}
	want := license.Request{License: c.license, Device: in.Device, Country: in.Country, DeviceKind: in.DeviceKind, Member: member, Title: title, At: c.at, Basis: slices.Clone(c.on)}
	var key *upstream.Key
	fetch := func(license.Decision) error {
		if key != nil {
			return nil
		}
		var err error
		key, err = s.key(ctx, c, want)
		return err
	}
	answer, err = s.request(ctx, c, want, fetch)
	if storeFailed(err) {
		answer, err = s.promise(ctx, c, want, err, fetch)
	}
	if err != nil {
		return Answer{}, err
	}
	switch {
	case answer.License.Device != in.Device || answer.License.Title != title.ID:
		return Answer{}, c.keyTaken("this Idempotency-Key was used for another device or title", answer.Version)
	case !mayPlay(answer, member): // Answered before, and the license ended since.
		return answer, nil
	case key == nil: // Answered before: the same key again.
		if err := fetch(license.Decision{}); err != nil {
			return Answer{}, err
		}
		answer.DecidedOn = c.on
	}
	answer.Key = key
	return answer, nil
}

// mayPlay reports whether a content key may be handed out: the license is in force, and the
// member is not suspended.
func mayPlay(a Answer, m license.Member) bool {
	return (a.Status == license.StatusActive || a.Status == license.StatusProvisional) && m.Status == license.MemberActive
}

// request decides on the store, within the time that is not reserved for a promise.
func (s *Service) request(ctx context.Context, c *command, want license.Request, fetch func(license.Decision) error) (Answer, error) {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-reserve))
		defer cancel()
	}
	if err := s.settle(ctx, c.Member); err != nil {
		return Answer{}, err
	}
	decide := func(license.State) (license.Command, error) { return want, nil }
	if err := s.prepare(ctx, c, decide, fetch); err != nil {
		return Answer{}, err
	}
	answer, err := s.run(ctx, c, decide, fetch)
	return answer, s.refusals.keep(c, err)
}

// room refuses commands that would make a full disk fuller.
func (s *Service) room(c *command) error {
	if why := s.full(); why != "" {
		u := c.unavailable(Disk, "only releases, renewals and reads are served: "+why, eventstore.ErrFull)
		u.Retry = time.Minute
		return u
	}
	return nil
}

// ask asks membership and catalog at the same time.
func (s *Service) ask(ctx context.Context, c *command, plan func(context.Context, string) (resilience.Result[upstream.Member], error), titleID string) (license.Member, license.Title, error) {
	var member resilience.Result[upstream.Member]
	var title resilience.Result[upstream.Title]
	var noMember, noTitle error
	var wg sync.WaitGroup
	wg.Go(func() { member, noMember = plan(ctx, c.Member) })
	title, noTitle = s.upstream.Title(ctx, titleID)
	wg.Wait()
	switch {
	case noMember != nil:
		return license.Member{}, license.Title{}, c.unavailable(upstream.Membership, "nobody can say at the moment whether the member may; try again", noMember)
	case noTitle != nil:
		return license.Member{}, license.Title{}, c.unavailable(upstream.Catalog, "nobody can say at the moment what the title allows; try again", noTitle)
	}
	c.decidedOn(upstream.Membership, member.Source, member.Age)
	c.decidedOn(upstream.Catalog, title.Source, title.Age)
	return memberOf(member.Value), titleOf(title.Value), nil
}

// key gets the content key, without which there is no license.
func (s *Service) key(ctx context.Context, c *command, want license.Request) (*upstream.Key, error) {
	res, err := s.upstream.Key(ctx, upstream.KeyRequest{License: want.License, Title: want.Title.ID, Device: want.Device})
	if err != nil {
		return nil, c.unavailable(upstream.KeyService, "there is no key for the title at the moment, and no license without one; try again", err)
	}
	c.decidedOn(upstream.KeyService, res.Source, res.Age)
	return &res.Value, nil
}

func memberOf(m upstream.Member) license.Member {
	return license.Member{Status: m.Status, Plan: m.Plan}
}

func titleOf(t upstream.Title) license.Title {
	return license.Title{ID: t.ID, Studio: t.Studio, Known: !t.Unknown, Offline: t.Offline, Terms: license.Terms{
		Version:         t.Terms.Version,
		StudioDownloads: t.Terms.StudioDownloads, TitleDownloadsPerYear: t.Terms.TitleDownloadsPerYear, TitlePlaysPerYear: t.Terms.TitlePlaysPerYear,
		License: hours(t.Terms.LicenseHours), Renewal: hours(t.Terms.RenewalHours), Playback: hours(t.Terms.PlaybackHours),
	}}
}

func hours(n int) time.Duration { return time.Duration(n) * time.Hour }
