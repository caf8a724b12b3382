package report_test

import (
	"fmt"
	"math"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/backstay-go/backstay/chaos/load"
	"github.com/backstay-go/backstay/chaos/report"
	"github.com/backstay-go/backstay/internal/browsertest"
)

// known is a run of ten seconds whose latencies are known: in second k half of the
// requests take k+1 times 2 ms, the others 3 times that, but for 3 that take 5 times that and
// one that takes 400 ms.
func known() *report.Report {
	r := sample()
	var samples []load.Sample
	for i := range 1000 {
		at, second := time.Duration(i)*10*time.Millisecond, i/100
		took := time.Duration(second+1) * 2 * time.Millisecond
		switch n := i % 100; {
		case n == 99:
			took = 400 * time.Millisecond
		case n >= 96:
			took *= 5
		case n >= 50:
			took *= 3
		}
		samples = append(samples, load.Sample{N: i, Intended: at, Sent: at, Done: at + took, Kind: "request", Outcome: "granted", Good: second != 5, Sources: map[string]string{"catalog": "live"}})
	}
	r.Buckets = load.Result{Samples: samples}.Buckets(time.Second)
	r.Faults = []report.Fault{{Target: "catalog", What: "hangs", From: 4 * time.Second, To: 6500 * time.Millisecond}, {Target: "store", What: "is down", From: 8 * time.Second, To: 9 * time.Second}}
	return r
}

// readPlots reads the plots as a person does: by the marks on their axes.
const readPlots = `[...document.querySelectorAll('#timeline svg.plot')].map(plot => {
  const texts = [...plot.querySelectorAll('text')];
  const line = (marks, unit) => { // of the first and the last mark: place to value
    const known = marks.map(t => [unit(t), unit.at(t)]).sort((a, b) => a[0] - b[0]);
    const [a, b] = [known[0], known[known.length - 1]];
    return at => a[0] + (at - a[1]) * (b[0] - a[0]) / (b[1] - a[1]);
  };
  const seconds = Object.assign(t => parseFloat(t.textContent), {at: t => parseFloat(t.getAttribute('x'))});
  const x = line(texts.filter(t => /^\d+ s$/.test(t.textContent)), seconds);
  const millis = {ms: 1, s: 1000};
  const latency = Object.assign(t => Math.log10(parseFloat(t.textContent) * millis[t.textContent.replace(/[\d.]+/, '')]), {at: t => parseFloat(t.getAttribute('y')) - 4});
  const rate = Object.assign(t => parseFloat(t.textContent), {at: t => parseFloat(t.getAttribute('y')) - 4});
  const marks = texts.filter(t => /^\d+(ms|s)$/.test(t.textContent)), rates = texts.filter(t => /^\d+\/s$/.test(t.textContent));
  const y = marks.length ? line(marks, latency) : rates.length ? line(rates, rate) : null;
  const points = name => [...plot.querySelectorAll('polyline.' + name)].flatMap(p => p.getAttribute('points').trim().split(' ').map(pair => {
    const [px, py] = pair.split(',').map(Number);
    return [x(px), marks.length ? 10 ** y(py) : y(py)];
  }));
  const drawn = name => [...plot.querySelectorAll('rect.' + name)].map(r => {
    const box = r.getBBox();
    return [x(box.x), x(box.x + box.width)];
  });
  return {label: plot.getAttribute('aria-label'), shades: drawn('shade'), faults: drawn('fault'),
    p50: points('p50'), p99: points('p99'), worst: points('worst'), offered: points('offered'), goodput: points('goodput')};
})`

type plot struct {
	Label                             string
	Shades, Faults                    [][2]float64
	P50, P99, Worst, Offered, Goodput [][2]float64
}

// near says whether pairs are those wanted: times within a hundredth of a second, values
// within a share.
func near(got, want [][2]float64, share float64) bool {
	if len(got) != len(want) {
		return false
	}
	for i := range got {
		if math.Abs(got[i][0]-want[i][0]) > 0.02 || math.Abs(got[i][1]-want[i][1]) > share*max(1, math.Abs(want[i][1])) {
			return false
		}
	}
	return true
}

// TestThePageDrawsWhatWasMeasured opens a report of known data in a real browser and reads
// it by its axes: faults are shaded when they were, lines are where the figures are.
func TestThePageDrawsWhatWasMeasured(t *testing.T) {
	browser := browsertest.Start(t)
	dir, err := filepath.Abs(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	path, err := known().Save(dir, "report")
	if err != nil {
		t.Fatal(err)
	}
	browser.Open(t, (&url.URL{Scheme: "file", Path: path}).String())
	plots, err := chromedp.Run(browser.Context, chromedp.Evaluate[[]plot](readPlots))
	if err != nil {
		t.Fatal(err)
	}
	if len(plots) != 6 {
		t.Fatalf("%d plots", len(plots))
	}
	harmed := [][2]float64{{4, 6.5}, {8, 9}}
	for _, p := range plots {
		shaded := p.Shades
		if len(p.Faults) > 0 { // The strips show the faults themselves.
			shaded = p.Faults
		}
		if !near(shaded, harmed, 0.02) {
			t.Errorf("%s: shaded at %v, want %v", p.Label, shaded, harmed)
		}
	}
	var p50, p99, worst, offered, good [][2]float64
	for k := range 10 {
		mid, base := float64(k)+0.5, float64(k+1)*2
		p50, p99 = append(p50, [2]float64{mid, base}), append(p99, [2]float64{mid, 5 * base})
		worst, offered = append(worst, [2]float64{mid, 400}), append(offered, [2]float64{mid, 100})
		served := 100.0
		if k == 5 {
			served = 0
		}
		good = append(good, [2]float64{mid, served})
	}
	var rate, latency plot
	for _, p := range plots {
		switch {
		case strings.HasPrefix(p.Label, "requests per second"):
			rate = p
		case strings.HasPrefix(p.Label, "latency"):
			latency = p
		}
	}
	for _, c := range []struct {
		name      string
		got, want [][2]float64
	}{
		{"p50", latency.P50, p50}, {"p99", latency.P99, p99}, {"the worst", latency.Worst, worst},
		{"offered", rate.Offered, offered}, {"goodput", rate.Goodput, good},
	} {
		if !near(c.got, c.want, 0.02) {
			t.Errorf("%s is drawn at %v, want %v", c.name, c.got, c.want)
		}
	}
	readWithoutAMouse(t, browser)
	// The page shows the figures of what the pointer is on.
	browser.Script(t, `{ const box = document.querySelector('#timeline .plot').getBoundingClientRect(), at = axis.left + (axis.right - axis.left) * 0.55;
		document.querySelector('#timeline .plot').dispatchEvent(new MouseEvent('mousemove', {clientX: box.left + at * box.width, clientY: box.top + 20})); }`)
	for _, want := range []string{"5.0 s", "offered 100/s, good 0/s", fmt.Sprintf("median %.1f ms, p99 %.1f ms, worst 400.0 ms", 12.0, 60.0)} {
		browser.Holds(t, want+" is shown", fmt.Sprintf("document.getElementById('readout').textContent.includes(%q)", want))
	}
	if c := browser.Complaints(); len(c) > 0 {
		t.Errorf("the page complained: %q", c)
	}
}

// readWithoutAMouse reads a moment by the slider, by an address and by the table, and holds what
// axe-core finds at three widths in light and dark.
func readWithoutAMouse(t *testing.T, browser *browsertest.Browser) {
	t.Helper()
	browser.Script(t, `document.getElementById("moment").value = 5; document.getElementById("moment").dispatchEvent(new Event("input"))`)
	browser.Holds(t, "the slider says what was", `/5\.0 s.*offered 100\/s, good 0\/s.*granted 100.*catalog hangs/.test(document.getElementById("said").textContent) && location.hash === "#t=5.0"`)
	browser.Script(t, `location.hash = "#t=8.4"`)
	browser.Holds(t, "an address is a moment", `document.getElementById("said").textContent.startsWith("8.0 s") && document.getElementById("moment").value === "8"`)
	browser.Script(t, `document.getElementById("data").open = true`)
	browser.Holds(t, "the data is a table", `document.querySelectorAll("#data tbody tr").length === 10 && document.querySelector("#data tbody tr:nth-child(6)").innerText.includes("catalog hangs")`)
	browser.Holds(t, "legends list what occurred", `!document.querySelector("#timeline").innerText.includes("unavailable")`)
	for _, width := range []int64{390, 768, 1440} {
		browser.Resize(t, width, 1200)
		browser.Holds(t, fmt.Sprintf("it fits in %d pixels", width), fmt.Sprintf(`document.documentElement.scrollWidth <= %d`, width))
		for _, dark := range []bool{false, true} {
			for _, v := range browser.Violations(t, dark) {
				t.Errorf("%d pixels, dark %v: %s", width, dark, v)
			}
		}
	}
	browser.Script(t, `document.getElementById("data").open = false`)
}

// TestTracesAreLinked if the report knows where they are shown.
func TestTracesAreLinked(t *testing.T) {
	for _, tt := range []struct{ template, want string }{
		{"", "<code>00ff</code>"},
		{"http://jaeger/trace/{trace}?x=1&y=2", `<a href="http://jaeger/trace/00ff?x=1&amp;y=2">00ff</a>`},
		{"javascript:alert('{trace}')", `<a href="#ZgotmplZ">00ff</a>`},
	} {
		r := sample()
		r.TraceURL, r.Environment = tt.template, report.Here()
		var page strings.Builder
		if err := r.WriteHTML(&page); err != nil || !strings.Contains(page.String(), tt.want) {
			t.Errorf("%q: %v, no %s in the page", tt.template, err, tt.want)
		}
		if !strings.Contains(page.String(), " cores") {
			t.Error("the page does not name the machine")
		}
	}
}
