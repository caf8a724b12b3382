package app

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/license"
	"github.com/backstay-go/backstay/licensesvc/upstream"
	"github.com/backstay-go/backstay/resilience"
)

// RenewInput asks to extend a license.
type RenewInput struct {
	Member, License string
	// Country is where the device is now, two upper-case letters. Empty: where it was before.
	Country string
	// Key is the client's Idempotency-Key. Two renewals with the same key renew once.
	Key  string
	Meta Meta
}

func (in RenewInput) check() error {
	return errors.Join(checkID("member", in.Member), checkID("license", in.License), checkKey("Idempotency-Key", in.Key), checkCountry(in.Country))
}

// Renew extends a license, or says why not. Its errors are those of Request. A renewal is
// granted where possible: if membership fails and no plan is remembered, the plan under which
// the license was granted is used. If the store fails, the remembered license is used, and the
// renewal is accepted and stored later.
func (s *Service) Renew(ctx context.Context, in RenewInput) (answer Answer, err error) {
	if err := in.check(); err != nil {
		return Answer{}, err
	}
	c := &command{identity: identity{Member: in.Member, Name: "renew", Object: in.License, Key: in.Key}, license: in.License, meta: in.Meta, at: s.now()}
	defer func() { s.record(c, answer, err, false) }()
	r := &renewal{service: s, command: c, want: license.Renew{License: in.License, Country: in.Country, At: c.at, Request: c.report()}}
	work := ctx
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		work, cancel = context.WithDeadline(ctx, deadline.Add(-reserve))
		defer cancel()
	}
	if err := s.refusals.of(c); err != nil {
		return Answer{}, err
	}
	decide := func(state license.State) (license.Command, error) { return r.decide(work, state) }
	err = s.settle(work, in.Member)
	if err == nil {
		err = s.prepare(work, c, decide, nil)
	}
	if err == nil {
		answer, err = s.run(work, c, decide, nil)
	}
	if storeFailed(err) {
		return r.accept(ctx, err)
	}
	return answer, errors.Join(s.refusals.keep(c, err), s.seen(ctx, c, err))
}

// renewal is a renewal in progress. It asks the services only once.
type renewal struct {
	service *Service
	command *command
	want    license.Renew
	asked   bool
}

func (r *renewal) decide(ctx context.Context, state license.State) (license.Command, error) {
	l, ok := state.License(r.want.License)
	if !ok || r.asked || slices.Contains(l.Renewals, r.want.Request) {
		return r.want, nil
	}
	var err error
	r.want.Member, r.want.Title, err = r.service.ask(ctx, r.command, func(ctx context.Context, id string) (resilience.Result[upstream.Member], error) {
		return r.service.memberToRenew(ctx, l, id, r.command.at)
	}, l.Title)
	r.want.Basis, r.asked = slices.Clone(r.command.on), err == nil
	return r.want, err
}

// accept decides the renewal without the store, and keeps it to be stored later.
func (r *renewal) accept(ctx context.Context, cause error) (Answer, error) {
	s, c := r.service, r.command
	now, ok := s.known(c)
	if _, there := now.State.License(c.license); !ok || !there || errors.Is(cause, eventstore.ErrFull) {
		return Answer{}, c.storeUnavailable(cause)
	}
	d, refusal, err := s.decide(c, now, s.recounted(func(state license.State) (license.Command, error) { return r.decide(ctx, state) }))
	switch {
	case err != nil:
		return Answer{}, err
	case refusal != nil:
		return Answer{}, &Refused{Refusal: refusal, DecidedOn: c.on, Version: now.Version}
	}
	a := Answer{Outcome: Accepted, License: d.License, Status: d.License.StatusAt(c.at), Warnings: d.Warnings, DecidedOn: c.on, Repeated: len(d.Events) == 0}
	if a.Repeated {
		return a, nil
	}
	want := r.want
	return a, s.put(ctx, c, kept{Renew: &want})
}

// memberToRenew asks for the member's plan. The last fallback is the plan in the license.
func (s *Service) memberToRenew(ctx context.Context, l license.License, id string, now time.Time) (resilience.Result[upstream.Member], error) {
	res, err := s.upstream.MemberToRenew(ctx, id)
	if age := now.Sub(l.Since); err != nil && age <= upstream.StalePlanToRenew {
		return resilience.Result[upstream.Member]{
			Value:  upstream.Member{ID: id, Plan: l.Plan, Status: upstream.StatusActive},
			Source: resilience.Stale, Age: age, Cause: err,
		}, nil
	}
	return res, err
}
