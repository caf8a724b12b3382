package license_test

import (
	"errors"
	"testing"
	"time"

	"github.com/backstay-go/backstay/licensesvc/license"
)

// TestHoldersCountWhatIsInForce folds events of several members, and counts at several times.
func TestHoldersCountWhatIsInForce(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	day := 24 * time.Hour
	granted := func(id string, days int) license.Granted {
		return license.Granted{License: id, Device: "d", Title: "t-1", Studio: "t", At: at, Expires: at.Add(time.Duration(days) * day), PlaybackSeconds: 3600}
	}
	events := []license.Event{
		granted("long", 30), granted("short", 1), granted("released", 30), granted("played", 30), granted("renewed", 1),
		license.Promised{Granted: granted("promised", 30)}, license.Revoked{License: "promised", At: at},
		license.Released{License: "released", Occurred: at.Add(time.Hour)},
		license.Played{License: "played", Occurred: at.Add(2 * day)},
		license.Renewed{License: "from before tags", At: at, Expires: at.Add(90 * day)},
		license.Renewed{License: "renewed", At: at.Add(2 * day), Expires: at.Add(60 * day)},
	}
	h, err := license.Holders{}.Fold(at, events...)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		after  time.Duration
		except string
		want   int
	}{{0, "", 4}, {0, "long", 3}, {0, "other", 4}, {3 * day, "", 2}, {40 * day, "", 1}, {90 * day, "", 0}} {
		if n, err := h.Count(at.Add(tc.after), tc.except); err != nil || n != tc.want {
			t.Errorf("after %s without %q: %d, %v; want %d", tc.after, tc.except, n, err, tc.want)
		}
	}
	// One event at a time makes the same, and forgetting changes no count.
	var one license.Holders
	for _, e := range events {
		if one, err = one.Fold(at.Add(80*day), e); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := one.Count(at.Add(80*day), ""); err != nil || n != 0 {
		t.Errorf("one by one, after 80 days: %d, %v", n, err)
	}
	// A value that was handed out does not change.
	if _, err := h.Fold(at, license.Released{License: "long", Occurred: at}); err != nil {
		t.Fatal(err)
	}
	if n, _ := h.Count(at, ""); n != 4 {
		t.Errorf("a further event changed the value: %d", n)
	}
	newer, err := h.Fold(at, license.Unknown{Type: "license.lent", Schema: 1, License: "x"})
	if err != nil {
		t.Fatal(err)
	}
	var r *license.Refusal
	if _, err := newer.Count(at, ""); !errors.As(err, &r) || r.Code != license.NewerEvents {
		t.Errorf("with an event of a newer program: %v", err)
	}
}
