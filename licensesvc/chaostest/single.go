package chaostest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/backstay-go/backstay/chaos/load"
	"github.com/backstay-go/backstay/licensesvc/upstream/server"
)

// singles are the requests that can be made one at a time.
var singles = []struct {
	name, kind string
	// known is true if the member has sent a request before, so that remembered answers are
	// available.
	known bool
}{
	{"request", askRequest, true},
	{"first-request", askRequest, false},
	{"renew", askRenew, true},
	{"download", askDownload, true},
	{"play", askPlay, true},
	{"release", askRelease, true},
	{"show", askShow, true},
	{"explain", askExplain, true},
}

// Requests returns the names of the requests for an enumeration.
func Requests() []string {
	var names []string
	for _, s := range singles {
		names = append(names, s.name)
	}
	return names
}

// Requests implements scenario.Enumerable.
func (s *System) Requests() []string { return Requests() }

// Prepare implements scenario.Enumerable. A member that is known gets a license first.
func (s *System) Prepare(ctx context.Context, request string) (func(context.Context, string) load.Sample, error) {
	c := s.clients
	c.single = true
	for _, one := range singles {
		if one.name != request {
			continue
		}
		member, has := server.MemberID(1), held{}
		if one.known {
			before, err := s.before(ctx, member)
			if err != nil {
				return nil, err
			}
			has = held{before.license}
		}
		return s.single(member, one.kind, has), nil
	}
	return nil, fmt.Errorf("there is no request %q", request)
}

// before grants a license to a member. A store that has just started may be too slow for the
// first request, so the request is repeated until its promise is kept.
func (s *System) before(ctx context.Context, member string) (seen, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		got := s.clients.play(ctx, seen{id: "before", member: member, kind: askRequest}, held{}, rand.New(rand.NewPCG(s.clients.seed, 1)))
		if got.outcome == gotDone {
			return got, nil
		}
		select {
		case <-ctx.Done():
			return got, fmt.Errorf("the license to begin with is %s: %s", got.outcome, got.detail)
		case <-tick.C:
		}
	}
}

// single returns a function that makes one request of a member. The same identity always leads to
// the same request.
func (s *System) single(member, kind string, has held) func(context.Context, string) load.Sample {
	var first *seen
	return func(ctx context.Context, identity string) load.Sample {
		// A known member asks for the title that it already has, so that the title's terms are
		// remembered.
		got := s.clients.play(ctx, seen{id: identity, member: member, kind: kind}, has, rand.New(rand.NewPCG(s.clients.seed, 1)))
		sample := got.sample()
		switch {
		case first == nil:
			first = &got
		case acknowledged(*first) && (got.license != first.license || got.outcome != gotDone && got.outcome != gotRefused && kind == askRequest):
			sample.Means = load.Wrong
			sample.Detail = fmt.Sprintf("first %s of %q, then %s of %q: %s", first.outcome, first.license, got.outcome, got.license, got.detail)
		}
		return sample
	}
}

// acknowledged reports whether the client was answered that the request is done.
func acknowledged(s seen) bool {
	return s.outcome == gotDone || s.outcome == gotPromised || s.outcome == gotAccepted
}
