package readmodel

import (
	"path/filepath"
	"testing"
)

// TestAWishThatComesMeanwhileStays: what an operator asks for while a stream is tried, or while
// another of its events is queued, is done later. A wish about an event that has passed is not.
func TestAWishThatComesMeanwhileStays(t *testing.T) {
	f, err := openFile(t.Context(), filepath.Join(t.TempDir(), "view.db"), Projections()[0], 1, true)
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	a := &applier{file: f, ctx: t.Context()}
	for _, tt := range []struct {
		name, wish, did string
		version         int64
		want            string
	}{
		{"a skip comes while a retry is tried", "skip", "retry", 2, "skip"},
		{"a skip comes before another event is queued", "skip", "", 2, "skip"},
		{"a retry was tried", "retry", "retry", 2, ""},
		{"the event that is to be skipped has passed", "skip", "retry", 3, ""},
		{"nobody wishes anything", "", "retry", 2, ""},
	} {
		if err := f.transaction(func() error {
			if err := a.savePark(Parked{Stream: "s"}); err != nil {
				return err
			}
			if err := a.savePark(Parked{Stream: "s", Version: 2, Cause: "decode"}); err != nil {
				return err
			}
			if _, err := a.view.Exec("UPDATE rm_parked SET want = ?", tt.wish); err != nil {
				return err
			}
			return a.savePark(Parked{Stream: "s", Version: tt.version, Cause: "decode", did: tt.did})
		}); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if err := f.loadParked(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := f.parked["s"].want; got != tt.want {
			t.Errorf("%s: %q is left, want %q", tt.name, got, tt.want)
		}
	}
}
