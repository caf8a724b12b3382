package readmodel

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/license"
)

// TestTheViewSaysWhatTheFoldSays compares the view of licenses with the domain's own fold.
func TestTheViewSaysWhatTheFoldSays(t *testing.T) {
	w := newWorld(t)
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		w.life(r, fmt.Sprintf("member-%d", r.IntN(20)))
	}
	m := openModels(t, w.store, t.TempDir())
	w.caughtUp(m.Models)
	for stream, version := range w.heads {
		var events []license.Event
		if _, err := eventstore.LoadAll(t.Context(), w.store, eventstore.Query{Stream: stream}, func(page []eventstore.Event) error {
			decoded, err := w.codec.DecodeAll(page)
			events = append(events, decoded...)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		state, err := license.Fold(license.State{}, events...)
		if err != nil {
			t.Fatal(err)
		}
		rows, f, err := m.OfStream(t.Context(), Token{stream, version}, time.Second, "", 1000)
		if err != nil || f.Source != "live" || len(rows) != len(state.Licenses()) {
			t.Fatalf("%s: %d rows, %+v, %v", stream, len(rows), f, err)
		}
		for _, row := range rows {
			l, ok := state.License(row.ID)
			if !ok || !row.Ends.Equal(l.ExpiresAt()) || !row.Began.Equal(l.Began) || !row.Released.Equal(l.Released) || !row.Revoked.Equal(l.Revoked) ||
				!row.Downloaded.Equal(l.Downloaded) || row.PlayCount != l.PlayCount || row.RenewalCount != l.RenewalCount || row.Provisional != l.Provisional ||
				row.Device != l.Device || !row.Since.Equal(l.Since) || row.StatusAt(l.Expires) != l.StatusAt(l.Expires) {
				t.Errorf("the view has %+v, the fold %+v", row, l)
			}
		}
	}
}
