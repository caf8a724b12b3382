package dashboard

import (
	"os"
	"strings"
	"testing"

	"github.com/backstay-go/backstay/resilience"
)

// TestEverySourceHasATone, and each tone a colour.
func TestEverySourceHasATone(t *testing.T) {
	known := map[string]bool{}
	css, err := os.ReadFile("page/style.css")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range sources {
		known[v.Name] = true
		if !strings.Contains(string(css), "."+string(v.Tone)+" {") {
			t.Errorf("%s has the tone %q, for which the page has no colour", v.Name, v.Tone)
		}
	}
	for s := resilience.Live; int(s) < len(second{}.sources); s++ {
		if !known[s.String()] {
			t.Errorf("the source %s has no tone", s)
		}
	}
}
