package chaostest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/backstay-go/backstay/chaos/load"
	"github.com/backstay-go/backstay/licensesvc/upstream/server"
)

// The requests that can be made one by one.
var singles = []struct {
	name, kind string
	// known says that the member asked before, so that answers are remembered.
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

// Requests names the requests for an enumeration.
func Requests() []string {
	var names []string
	for _, s := range singles {
		names = append(names, s.name)
	}
	return names
}

// Requests implements scenario.Enumerable.
func (s *System) Requests() []string { return Requests() }

// Prepare implements scenario.Enumerable: a member that is known gets a license first.
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

// before gets a member a license. A store that has just begun may be too slow for the
// first request: what was promised is done when it is asked again.
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

// single makes one request of a member, the same each time for one identity.
func (s *System) single(member, kind string, has held) func(context.Context, string) load.Sample {
	var first *seen
	return func(ctx context.Context, identity string) load.Sample {
		// A known member asks for the title that it has, so that terms are remembered.
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

// acknowledged says that the answer to the client was "done".
func acknowledged(s seen) bool {
	return s.outcome == gotDone || s.outcome == gotPromised || s.outcome == gotAccepted
}
