package app_test

import (
	"context"
	"errors"
	"testing"

	"github.com/backstay-go/backstay/licensesvc/app"
	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/resilience"
)

// twoRegions is a store whose own region is gone: another one answers what is only shown.
type twoRegions struct{ eventstore.Store }

func (s twoRegions) Load(ctx context.Context, q eventstore.Query) (eventstore.Page, error) {
	if q.Consistency != eventstore.ForDisplay {
		return eventstore.Page{}, eventstore.ErrUnavailable
	}
	page, err := s.Store.Load(ctx, q)
	page.Remote = true
	return page, err
}

// TestAnotherRegionAnswersWhatIsOnlyShown: also while the breaker is open, as decisions
// fail; the answer says where it comes from.
func TestAnotherRegionAnswersWhatIsOnlyShown(t *testing.T) {
	h := build(t)
	member := h.member("standard")
	granted := h.grant(member, "tablet", "capstan-001", "k-1")
	for _, elsewhere := range []bool{true, false} {
		s, err := app.New(app.Config{Store: twoRegions{h.store}, Elsewhere: elsewhere, Upstream: h.clients})
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
			if open == 1 && !elsewhere {
				if !errors.Is(err, resilience.ErrOpen) {
					t.Errorf("without another region and with an open breaker: %+v, %v", got, err)
				}
				continue
			}
			if err != nil || len(got.DecidedOn) != 1 || got.DecidedOn[0].Source != "remote" {
				t.Errorf("elsewhere %v, open %d: %+v, %v", elsewhere, open, got.DecidedOn, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
