package simulate_test

import (
	"bytes"
	"encoding/xml"
	"io"
	"strings"
	"testing"

	"github.com/backstay-go/backstay/resilience"
	"github.com/backstay-go/backstay/resilience/simulate"
)

// TestThePageStandsAlone: it is well-formed, has every plot, and loads nothing.
func TestThePageStandsAlone(t *testing.T) {
	rec, policies := read(t, "new.yaml")
	rec.Dropped = 7
	var out bytes.Buffer
	if err := replay(t, rec, policies, simulate.Options{Seed: 1}).WriteHTML(&out); err != nil {
		t.Fatal(err)
	}
	page := out.String()
	for _, says := range []string{"<h2>catalog</h2>", "attempts per second on the dependency", "what became of calls, recorded", "what became of calls, replayed",
		"states of the replayed breaker", "latency of calls", "open from", "The record lacks 7 calls"} {
		if !strings.Contains(page, says) {
			t.Errorf("%q is not on the page", says)
		}
	}
	for _, no := range []string{"http:", "https:", "<script", "url(", "@import", "NaN", "Inf", "%!"} {
		if strings.Contains(page, no) {
			t.Errorf("%q is on the page", no)
		}
	}
	for rest := page; ; {
		_, after, ok := strings.Cut(rest, "<svg")
		if !ok {
			break
		}
		svg, after, ok := strings.Cut(after, "</svg>")
		if !ok {
			t.Fatal("a plot does not end")
		}
		for d := xml.NewDecoder(strings.NewReader("<svg" + svg + "</svg>")); ; {
			if _, err := d.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("%v in\n%.300s", err, svg)
			}
		}
		rest = after
	}
}

// TestNamesAreTextOnThePage: a record comes from elsewhere.
func TestNamesAreTextOnThePage(t *testing.T) {
	name := `<b onclick="x">&`
	rec := parse(t, "0 "+strings.ReplaceAll(`"<b onclick=\"x\">&"`, " ", `\x20`)+" default critical live - 1000 s0+1000\n")
	policies := map[string]resilience.Policy{name: one(nil)["dep"]}
	p := policies[name]
	p.Name = name
	policies[name] = p
	var out bytes.Buffer
	if err := replay(t, rec, policies, simulate.Options{}).WriteHTML(&out); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), name) || !strings.Contains(out.String(), "&lt;b onclick") {
		t.Error("the name is markup")
	}
}
