package plural_test

import (
	"testing"

	"github.com/backstay-go/backstay/internal/plural"
)

func TestCount(t *testing.T) {
	for want, got := range map[string]string{
		"0 calls": plural.Count(0, "call"), "1 call": plural.Count(1, "call"), "2 calls": plural.Count(2, "call"),
		"1 retry": plural.Count(1, "retry"), "3 retries": plural.Count(3, "retry"), "2 days": plural.Count(2, "day"), "-1 calls": plural.Count(-1, "call"),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
