package cassandra_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/backstay-go/backstay/licensesvc/eventstore/cassandra"
)

// TestAFilterContainsWhatItWasMadeOf, whatever the ids look like.
func TestAFilterContainsWhatItWasMadeOf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ids := rapid.SliceOfN(rapid.String(), 0, 300).Draw(t, "ids")
		has := cassandra.NewFilter(ids)
		for _, id := range ids {
			if !has(id) {
				t.Fatalf("%q is missing", id)
			}
		}
	})
}

// TestAFilterContainsLittleElse: ids that differ in a digit, as those of one client do.
func TestAFilterContainsLittleElse(t *testing.T) {
	for _, format := range []string{"%d", "client-%d-play", "%032x"} {
		var ids []string
		for i := range 2000 {
			ids = append(ids, fmt.Sprintf(format, i))
		}
		has, wrong := cassandra.NewFilter(ids), 0
		for i := range 100_000 {
			if has(fmt.Sprintf(format, 2000+i)) {
				wrong++
			}
		}
		if wrong > 200 {
			t.Errorf("%s: %d of 100,000 others, want at most 200", format, wrong)
		}
	}
}
