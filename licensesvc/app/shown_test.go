package app_test

import (
	"context"
	"testing"

	"github.com/backstay-go/backstay/licensesvc/app"
	"github.com/backstay-go/backstay/licensesvc/eventstore"
)

// shownOnly is a store that decisions can't use: another region, or one replica that is
// left, answers what is only shown.
type shownOnly struct {
	eventstore.LoadAppender
	remote bool
}

func (s shownOnly) Load(ctx context.Context, q eventstore.Query) (eventstore.Page, error) {
	if q.Consistency != eventstore.ForDisplay {
		return eventstore.Page{}, eventstore.ErrUnavailable
	}
	page, err := s.LoadAppender.Load(ctx, q)
	page.Remote = s.remote
	return page, err
}

// TestWhatIsOnlyShownSaysWhereItIsFrom while decisions fail.
func TestWhatIsOnlyShownSaysWhereItIsFrom(t *testing.T) {
	h := build(t)
	member := h.member("standard")
	granted := h.grant(member, "tablet", "capstan-001", "k-1")
	for _, c := range []struct {
		remote bool
		source string
	}{{true, "remote"}, {false, "live"}} {
		s, err := app.New(app.Config{Store: shownOnly{h.guarded, c.remote}, Upstream: h.clients})
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Show(t.Context(), member, granted.License.ID)
		if err != nil || len(got.DecidedOn) != 1 || got.DecidedOn[0].Source != c.source {
			t.Errorf("%+v: %+v, %v", c, got.DecidedOn, err)
		}
		if _, err := s.Release(t.Context(), app.ReportInput{Member: member, License: granted.License.ID, Key: "r"}); err == nil {
			t.Error("a release was decided on what is only shown")
		}
	}
}
