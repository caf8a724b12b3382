package svgplot_test

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/backstay-go/backstay/internal/svgplot"
)

// FuzzTextsAreEscaped: whatever a text or class is, the plot is well-formed.
func FuzzTextsAreEscaped(f *testing.F) {
	f.Add(`"><script>`, "tone")
	f.Add(`a & b`, `x" onload="y`)
	f.Fuzz(func(t *testing.T, text, class string) {
		clean := func(s string) string { // what no XML can have
			return strings.Map(func(r rune) rune {
				if r < ' ' || r == 0xFFFE || r == 0xFFFF {
					return -1
				}
				return r
			}, strings.ToValidUTF8(s, ""))
		}
		text, class = clean(text), clean(class)
		c := svgplot.New(100, 10, 10, time.Second, text)
		c.Text(1, 2, class, "end", text)
		c.Rect(1, 2, -3, 4, class, text)
		c.Line(class, [][2]float64{{1, 2}, {3, 4}})
		c.Line(class, nil)
		c.Segment(class, 1, 2, 3, 4)
		c.Across(5, class, text)
		c.Down(time.Second, 1, 2, 3, class, text)
		in := xml.NewDecoder(strings.NewReader(string(c.HTML())))
		elements := 0
		for {
			token, err := in.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%v in %s", err, c.HTML())
			}
			if start, ok := token.(xml.StartElement); ok {
				if elements++; start.Name.Local == "script" {
					t.Fatal("a script")
				}
			}
		}
		if elements > 11 {
			t.Errorf("%d elements", elements)
		}
	})
}

func TestTimesHaveTheirPlace(t *testing.T) {
	c := svgplot.New(100, 100, 100, 10*time.Second, "")
	for at, want := range map[time.Duration]float64{0: 100, 5 * time.Second: 500, 10 * time.Second: 900, time.Hour: 900} {
		if got := c.X(at); math.Abs(got-want) > 1e-9 {
			t.Errorf("%v is at %v, want %v", at, got, want)
		}
	}
}
