package sqlite

import (
	"errors"
	"testing"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
)

// FuzzCursor: a cursor is read as it was made, and any other text is refused.
func FuzzCursor(f *testing.F) {
	s := &file{epoch: "e1"}
	f.Add("", 0, int64(0), "")
	f.Add(string(s.cursor(3, 7, "commit/with a slash")), 3, int64(-1), "\xff")
	f.Add("ZTEvMy8rNy9j", 3, int64(7), "c")
	f.Fuzz(func(t *testing.T, text string, slice int, position int64, commit string) {
		if _, _, err := s.position(slice, eventstore.Cursor(text)); err != nil && !errors.Is(err, eventstore.ErrInvalid) && !errors.Is(err, eventstore.ErrEpoch) {
			t.Fatal(err)
		}
		if at, of, err := s.position(slice, s.cursor(slice, position, commit)); at != position || of != commit || err != nil {
			t.Fatal(at, of, err)
		}
		if _, _, err := s.position(slice+1, s.cursor(slice, position, commit)); !errors.Is(err, eventstore.ErrInvalid) {
			t.Fatal("a cursor of another slice:", err)
		}
	})
}
