package app

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/backstay-go/backstay/licensesvc/license"
	"github.com/backstay-go/backstay/licensesvc/upstream"
	"github.com/backstay-go/backstay/resilience"
)

// RenewInput asks to extend a license.
type RenewInput struct {
	Member, License string
	// Key is the client's Idempotency-Key: the same one renews once.
	Key  string
	Meta Meta
}

func (in RenewInput) check() error {
	return errors.Join(checkID("member", in.Member), checkID("license", in.License), checkKey("Idempotency-Key", in.Key))
}

// Renew extends a license, or says why not; errors are as those of Request. A
// renewal prefers yes: if membership fails and no plan is remembered, the plan
// that the license was granted under stands in.
func (s *Service) Renew(ctx context.Context, in RenewInput) (Answer, error) {
	if err := in.check(); err != nil {
		return Answer{}, err
	}
	c := &command{identity: identity{Member: in.Member, Name: "renew", Object: in.License, Key: in.Key}, license: in.License, meta: in.Meta, at: s.now()}
	err := s.settle(ctx, in.Member)
	if err != nil {
		return Answer{}, c.storeUnavailable(err)
	}
	want := license.Renew{License: in.License, At: c.at, Request: c.report()}
	asked := false
	answer, err := s.run(ctx, c, func(state license.State) (license.Command, error) {
		l, ok := state.License(in.License)
		if !ok || asked {
			return want, nil
		}
		var err error
		want.Member, want.Title, err = s.ask(ctx, c, func(ctx context.Context, id string) (resilience.Result[upstream.Member], error) {
			return s.memberToRenew(ctx, l, id, c.at)
		}, l.Title)
		want.Basis, asked = slices.Clone(c.on), err == nil
		return want, err
	}, nil)
	if storeFailed(err) {
		return Answer{}, c.storeUnavailable(err)
	}
	return answer, err
}

// memberToRenew asks for the plan; what stands in last is the plan in the license.
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
