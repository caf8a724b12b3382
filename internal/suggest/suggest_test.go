package suggest

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestNearest(t *testing.T) {
	names := []string{"max_attempts", "max_delay", "budget", "retry", "get"}
	for given, want := range map[string]string{
		"maxAttempts": "max_attempts", "max-attempts": "max_attempts", "max_atempts": "max_attempts", "buget": "budget", "rtery": "retry",
		"Retry": "retry", "gte": "get", "retr": "retry", "bud": "budget", "max": "", "": "", "x": "", "limit": "", "attempts": "",
	} {
		if got := Nearest(given, slices.Values(names)); got != want {
			t.Errorf("%q: got %q, want %q", given, got, want)
		}
	}
	if got := Phrase("buget", slices.Values(names)); got != `; did you mean "budget"?` {
		t.Error(got)
	}
	if got := Phrase("zzz", slices.Values(names)); got != "" {
		t.Error(got)
	}
}

func TestDistanceIsAMetricOfEdits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.StringN(0, 8, -1).Draw(t, "a"), rapid.StringN(0, 8, -1).Draw(t, "b")
		d := distance(a, b)
		if d != distance(b, a) {
			t.Fatalf("not symmetric: %d and %d", d, distance(b, a))
		}
		if (d == 0) != (slices.Equal([]rune(a), []rune(b))) {
			t.Fatalf("distance %d of %q and %q", d, a, b)
		}
		if longest := max(len([]rune(a)), len([]rune(b))); d > longest {
			t.Fatalf("%d edits for at most %d characters", d, longest)
		}
	})
}
