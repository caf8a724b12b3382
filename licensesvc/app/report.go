package app

import (
	"context"
	"errors"
	"time"

	"github.com/backstay-go/backstay/licensesvc/license"
	"github.com/backstay-go/backstay/licensesvc/repository"
	"github.com/backstay-go/backstay/resilience"
)

// ReportInput reports an event of a license on its device.
type ReportInput struct {
	Member, License string
	// Key is the client's Idempotency-Key, or the device's id of the report.
	Key string
	// Occurred is when it happened, if the device was offline then. Zero: it happens now.
	Occurred time.Time
	Meta     Meta
}

func (in ReportInput) check() error {
	return errors.Join(checkID("member", in.Member), checkID("license", in.License), checkKey("Idempotency-Key", in.Key))
}

// Play decides whether a play may begin now, or records a play that began offline.
func (s *Service) Play(ctx context.Context, in ReportInput) (answer Answer, err error) {
	c := s.reported("play", in)
	defer func() { s.record(c, answer, err, false) }()
	if err := errors.Join(in.check(), s.room(c)); err != nil {
		return Answer{}, err
	}
	report := c.report()
	if err := s.refusals.of(c); err != nil {
		return Answer{}, err
	}
	if !in.Occurred.IsZero() {
		k := kept{Play: &license.ReportPlay{License: in.License, Report: report, Occurred: in.Occurred, At: c.at}}
		asked := *k.Play
		asked.Asked = true
		return s.report(ctx, c, asked, k)
	}
	want := license.Play{License: in.License, Report: report, At: c.at}
	answer, err = s.decided(ctx, c, want)
	if !storeFailed(err) {
		return answer, s.refusals.keep(c, err)
	}
	// The remembered state decides whether the play may begin. That it began is then a report
	// like any other.
	now, ok := s.known(c)
	if !ok {
		u := c.storeUnavailable(err)
		u.Detail = "the event store could not be used; play under the license that the device holds, and report it later"
		return Answer{}, u
	}
	d, refusal, err := s.decide(c, now, func(license.State) (license.Command, error) { return want, nil })
	switch {
	case err != nil:
		return Answer{}, err
	case refusal != nil:
		return Answer{}, &Refused{Refusal: refusal, DecidedOn: c.on, Version: now.Version}
	}
	a := Answer{Outcome: Accepted, License: d.License, Status: d.License.StatusAt(c.at), Warnings: d.Warnings, DecidedOn: c.on}
	if len(d.Events) == 0 {
		return a, nil
	}
	return a, s.put(ctx, c, kept{Play: &license.ReportPlay{License: in.License, Report: report, At: c.at}})
}

// Download records that the device has the title's file.
func (s *Service) Download(ctx context.Context, in ReportInput) (answer Answer, err error) {
	c := s.reported("download", in)
	defer func() { s.record(c, answer, err, false) }()
	if err := errors.Join(in.check(), s.room(c)); err != nil {
		return Answer{}, err
	}
	report := license.ReportDownload{License: in.License, Report: c.report(), Occurred: in.Occurred, At: c.at}
	return s.report(ctx, c, report, kept{Download: &report})
}

// Release gives a license back.
func (s *Service) Release(ctx context.Context, in ReportInput) (answer Answer, err error) {
	c := s.reported("release", in)
	defer func() { s.record(c, answer, err, false) }()
	if err := in.check(); err != nil {
		return Answer{}, err
	}
	release := license.Release{License: in.License, Occurred: in.Occurred, At: c.at}
	return s.report(ctx, c, release, kept{Release: &release})
}

// Revoke ends a license against the member's wish. It is decided on the store, or fails.
func (s *Service) Revoke(ctx context.Context, in ReportInput, reason string) (answer Answer, err error) {
	if err := in.check(); err != nil {
		return Answer{}, err
	}
	if reason == "" {
		return Answer{}, &InputError{"reason", "is empty: say why; the member will see it"}
	}
	c := s.reported("revoke", in)
	defer func() { s.record(c, answer, err, false) }()
	c.Content = contentOf(reason)
	answer, err = s.decided(ctx, c, license.Revoke{License: in.License, Reason: reason, At: c.at})
	if storeFailed(err) {
		return Answer{}, c.storeUnavailable(err)
	}
	return answer, err
}

func (s *Service) reported(name string, in ReportInput) *command {
	c := &command{identity: identity{Member: in.Member, Name: name, Object: in.License, Key: in.Key}, license: in.License, meta: in.Meta, at: s.now()}
	if !in.Occurred.IsZero() {
		c.Content = contentOf(in.Occurred.UTC().Format(time.RFC3339Nano))
	}
	return c
}

// report decides a report, or keeps it in the given form until the store can be used.
func (s *Service) report(ctx context.Context, c *command, want license.Command, k kept) (Answer, error) {
	work := ctx
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		work, cancel = context.WithDeadline(ctx, deadline.Add(-reserve))
		defer cancel()
	}
	answer, err := s.decided(work, c, want)
	if !storeFailed(err) {
		return answer, errors.Join(s.refusals.keep(c, err), s.seen(ctx, c, err))
	}
	if s.outbox == nil {
		return Answer{}, c.storeUnavailable(err)
	}
	a := Answer{Outcome: Accepted, License: license.License{ID: c.license}}
	if now, ok := s.known(c); ok {
		a.License, _ = now.State.License(c.license)
		d, refusal, err := s.decide(c, now, func(license.State) (license.Command, error) { return want, nil })
		if refusal != nil && refusal.Code == license.PlayYearLimit {
			return Answer{}, &Refused{Refusal: refusal, DecidedOn: c.on, Version: now.Version}
		}
		if err == nil {
			a.Warnings = d.Warnings
		}
	} else {
		c.decidedOn(EventStore, resilience.Static, 0)
	}
	if a.License.ID == "" {
		a.License.ID = c.license
	}
	if !a.License.Granted.IsZero() {
		a.Status = a.License.StatusAt(c.at)
	}
	a.DecidedOn = c.on
	return a, s.put(ctx, c, k)
}

// decided runs a command that needs nothing but the store.
func (s *Service) decided(ctx context.Context, c *command, want license.Command) (Answer, error) {
	if err := s.settle(ctx, c.Member); err != nil {
		return Answer{}, err
	}
	return s.run(ctx, c, func(license.State) (license.Command, error) { return want, nil }, nil)
}

// known returns a state to decide on without the store: the remembered state of the member
// with the entries of the outbox, or the license alone if it was promised here.
func (s *Service) known(c *command) (now repository.Folded[license.State], ok bool) {
	if s.outbox == nil {
		return now, false
	}
	now, remembered := s.members.Remembered(Stream(c.Member))
	now.State = s.withPending(now.State, c.Member, c.at)
	if _, promised := now.State.License(c.license); !remembered && !promised {
		return now, false
	}
	if remembered {
		c.decidedOn(EventStore, resilience.Stale, c.at.Sub(now.At))
	} else {
		c.decidedOn(EventStore, resilience.Static, 0)
	}
	return now, true
}

// seen removes the entry of a report that was accepted and then refused, when the device sends
// the report again and gets the refusal.
func (s *Service) seen(ctx context.Context, c *command, err error) error {
	var refused *Refused
	if _, waits := s.outbox.get(c.entry()); !waits || !errors.As(err, &refused) {
		return nil
	}
	return s.outbox.done(ctx, c.entry())
}
