package sqlite_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/eventstore/sqlite"
	"github.com/backstay-go/backstay/resilience"
)

// gone is a file that can't be loaded from.
type gone struct{ eventstore.LoadAppender }

func (gone) Load(context.Context, eventstore.Query) (eventstore.Page, error) {
	return eventstore.Page{}, eventstore.ErrUnavailable
}

// TestReadersOfTheFeedHideNoFailure: read models that ask for pages all the time do not keep the
// breaker closed while decisions fail.
func TestReadersOfTheFeedHideNoFailure(t *testing.T) {
	s, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "events.db"),
		Between: func(file eventstore.LoadAppender) eventstore.LoadAppender { return gone{file} }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range 30 {
		if _, err := s.Load(t.Context(), eventstore.Query{Stream: "m"}); err == nil {
			t.Fatal("a load passed")
		}
		for range 5 {
			if _, err := s.Feed(t.Context(), 0, "", 10); err != nil && s.Guards()[0].Snapshot().Breaker != resilience.BreakerOpen {
				t.Fatal(err)
			}
		}
	}
	if state := s.Guards()[0].Snapshot().Breaker; state != resilience.BreakerOpen {
		t.Errorf("the breaker is %s", state)
	}
}
