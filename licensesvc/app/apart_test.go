package app_test

import (
	"context"
	"errors"
	"testing"

	"github.com/backstay-go/backstay/licensesvc/app"
	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/resilience"
)

// shownOnly is a store that can't be had for decisions: another region, or one replica
// that is left, answers what is only shown.
type shownOnly struct {
	eventstore.Store
	remote bool
}

func (s shownOnly) Load(ctx context.Context, q eventstore.Query) (eventstore.Page, error) {
	if q.Consistency != eventstore.ForDisplay {
		return eventstore.Page{}, eventstore.ErrUnavailable
	}
	page, err := s.Store.Load(ctx, q)
	page.Remote = s.remote
	return page, err
}

// TestWhatIsOnlyShownGoesOn while the breaker is open, as decisions fail, if the store
// guards views by itself; the answer says where it comes from.
func TestWhatIsOnlyShownGoesOn(t *testing.T) {
	h := build(t)
	member := h.member("standard")
	granted := h.grant(member, "tablet", "capstan-001", "k-1")
	for _, c := range []struct {
		apart, remote bool
		source        string
	}{{true, true, "remote"}, {true, false, "live"}, {false, true, "remote"}} {
		s, err := app.New(app.Config{Store: shownOnly{h.store, c.remote}, ViewsApart: c.apart, Upstream: h.clients})
		if err != nil {
			t.Fatal(err)
		}
		for open := range 2 {
			if open == 1 {
				if err := s.Guard().Force(resilience.BreakerForcedOpen); err != nil {
					t.Fatal(err)
				}
			}
			got, err := s.Show(t.Context(), member, granted.License.ID)
			if open == 1 && !c.apart {
				if !errors.Is(err, resilience.ErrOpen) {
					t.Errorf("with views behind the breaker: %+v, %v", got, err)
				}
				continue
			}
			if err != nil || len(got.DecidedOn) != 1 || got.DecidedOn[0].Source != c.source {
				t.Errorf("%+v, open %d: %+v, %v", c, open, got.DecidedOn, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
