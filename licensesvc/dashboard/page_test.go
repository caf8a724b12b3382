package dashboard_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/backstay-go/backstay/internal/browsertest"
	"github.com/backstay-go/backstay/licensesvc/dashboard"
	"github.com/backstay-go/backstay/resilience"
)

// house is a service whose page shows every part, and which can hang or refuse.
type house struct {
	*httptest.Server
	events  atomic.Int64 // shown as the number of open promises
	refuses atomic.Bool
	hang    sync.RWMutex // held: the service hangs
}

// traffic has a burst at its begin, as a warm-up makes it, and then 50 answers per second.
func traffic(now time.Time, seconds int) []dashboard.Traffic {
	var all []dashboard.Traffic
	for i := range seconds {
		n := 50
		if i == 3 {
			n = 900
		}
		all = append(all, dashboard.Traffic{At: now.Unix() - int64(seconds-i), Outcomes: map[string]int{"done": n - 20, "promised": 5, "unavailable": 15}, P50ms: 4, P99ms: 180})
	}
	return all
}

func (h *house) config(t *testing.T) dashboard.Config {
	cfg := dashboard.Config{Recorder: &dashboard.Recorder{}, Traffic: traffic, Faults: &switches{on: map[string]bool{}}, TraceURL: "http://localhost:16686/trace/{trace}",
		Outcomes: []dashboard.Value{{Name: "done", Tone: dashboard.Good}, {Name: "promised", Tone: dashboard.Degraded}, {Name: "unavailable", Tone: dashboard.Bad}}}
	for _, name := range []string{"event-store", "catalog"} {
		p := policy(name)
		p.Breaker = &resilience.BreakerPolicy{Mode: map[string]resilience.BreakerMode{"catalog": resilience.BreakerForcedOpen}[name]}
		g, err := resilience.New(p, resilience.WithListener(cfg.Recorder))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := g.Close(); err != nil {
				t.Error(err)
			}
		})
		cfg.Dependencies = append(cfg.Dependencies, dashboard.Dependency{Name: name, Fallback: "the last known terms", Snapshot: g.Snapshot})
	}
	cfg.Status = func() dashboard.Status {
		h.hang.RLock()
		defer h.hang.RUnlock()
		return dashboard.Status{Ready: true, Provisional: int(h.events.Add(1))}
	}
	cfg.Capacity = func() dashboard.Capacity {
		return dashboard.Capacity{EventBytes: 976, EventsPerHour: 180000, FreeBytes: 2e11, StoreBytes: 3e6, DaysLeft: 1527.9, State: "ok"}
	}
	cfg.Recent = func() []dashboard.Decision {
		var all []dashboard.Decision
		for i := h.events.Load() + 40; i > h.events.Load(); i-- {
			all = append(all, dashboard.Decision{At: time.Unix(i, 0), Member: fmt.Sprintf("m-%05d", i), License: fmt.Sprint("lic-", i), Title: "A title with a long name, the second part of it", Kind: "request", Outcome: "done", On: []string{"catalog: stale"}})
		}
		return all
	}
	return cfg
}

func open(t *testing.T) *house {
	t.Helper()
	h := &house{}
	d, err := dashboard.New(h.config(t))
	if err != nil {
		t.Fatal(err)
	}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h.refuses.Load() && r.URL.Path == "/dashboard/events" {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `{"detail":"the token has no scope for the page"}`)
			return
		}
		d.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		h.CloseClientConnections()
		h.Close()
	})
	return h
}

// later holds when the page has shown n more events.
func later(t *testing.T, h *house, b *browsertest.Browser, n int64) {
	t.Helper()
	b.Holds(t, "the page goes on", fmt.Sprintf(`+[...document.querySelectorAll("#numbers dd")].at(-1).textContent >= %d`, h.events.Load()+n))
}

func TestThePageInABrowser(t *testing.T) {
	b := browsertest.Start(t)
	h := open(t)
	b.Open(t, h.URL+"/dashboard/")
	later(t, h, b, 2)
	t.Run("says what is true", func(t *testing.T) {
		for what, expression := range map[string]string{
			"no null":                            `!/null|undefined|NaN/.test(document.body.innerText)`,
			"a burst does not set the scale":     `[...document.querySelectorAll("#traffic text")].some(t => t.textContent === "60/s" || t.textContent === "50/s")`,
			"a bar above the scale says so":      `document.querySelector("#traffic .clipped") && document.getElementById("clipped").textContent.includes("900/s")`,
			"the axis has a time":                `["90 s ago", "now"].every(w => document.getElementById("traffic").textContent.includes(w))`,
			"latency over time":                  `document.querySelector("#latency .p99").getAttribute("d").length > 500`,
			"an open breaker is not just ready":  `document.getElementById("degraded").textContent === "degraded: 1 of 2 open"`,
			"a fault is named in full":           `document.getElementById("faults").innerText.includes("catalog slow")`,
			"a forecast is rounded":              `document.getElementById("capacity").innerText.includes("about 4 years left")`,
			"failed bars have a pattern":         `document.querySelector('#traffic [data-name="unavailable"]').getAttribute("fill") === "url(#pattern-bad)" && document.querySelector("#pattern-bad path")`,
			"the table has a header":             `document.querySelectorAll("#recent-card th").length === 6`,
			"a moment can be read by the slider": `(document.getElementById("cursor").value = 50, document.getElementById("cursor").dispatchEvent(new Event("input")), document.getElementById("at").textContent.includes("30 done, 5 promised, 15 unavailable"))`,
		} {
			b.Holds(t, what, expression)
		}
	})
	t.Run("focus and selection survive", func(t *testing.T) {
		b.Script(t, `window.kept = [document.querySelector("#dep-catalog h3"), document.querySelector("#buttons button")]; kept[1].focus();
			getSelection().selectAllChildren(document.querySelector("#dep-catalog .note"))`)
		later(t, h, b, 3)
		b.Holds(t, "focus", `document.activeElement === kept[1] && kept[0].isConnected && String(getSelection()) === "the last known terms"`)
		b.Script(t, `window.row = document.querySelectorAll("#recent button")[5]; row.focus()`)
		later(t, h, b, 3)
		b.Holds(t, "focus in the table", `document.activeElement === row && row.isConnected && document.getElementById("recent-hint").textContent.includes("Paused")`)
		b.Script(t, `row.blur(); getSelection().removeAllRanges()`)
		b.Holds(t, "the table goes on", `!row.isConnected`)
	})
	for _, width := range []int64{390, 768, 1440} {
		b.Resize(t, width, 1200)
		later(t, h, b, 2)
		b.Holds(t, fmt.Sprintf("it fits in %d pixels", width), fmt.Sprintf(`document.documentElement.scrollWidth <= %d`, width))
		for _, dark := range []bool{false, true} {
			for _, v := range b.Violations(t, dark) {
				t.Errorf("%d pixels, dark %v: %s", width, dark, v)
			}
			picture(t, b, fmt.Sprintf("live-%d-dark-%v.png", width, dark))
		}
	}
	t.Run("a hang is seen", func(t *testing.T) {
		h.hang.Lock()
		b.Holds(t, "the page is old", `document.body.classList.contains("old") && document.getElementById("banner").textContent.includes("Nothing has come") && document.getElementById("status").textContent === "silent"`)
		h.hang.Unlock()
		b.Holds(t, "it is back", `!document.body.classList.contains("old") && document.getElementById("banner").hidden && document.getElementById("status").textContent === "ready"`)
	})
	t.Run("a page that lost its place says so and comes back", func(t *testing.T) {
		for range 8 {
			resp, err := http.Get(h.URL + "/dashboard/events")
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
		}
		b.Holds(t, "it says the limit", `/at most 64 pages.*8 of one caller/.test(document.getElementById("banner").textContent)`)
		b.Holds(t, "it is back", `document.getElementById("banner").hidden`)
	})
	if c := b.Complaints(); len(c) > 0 {
		t.Errorf("the page complained: %q", c)
	}
	t.Run("a refused page says why and comes back", func(t *testing.T) {
		h.refuses.Store(true)
		h.CloseClientConnections()
		b.Holds(t, "it says why", `/403.*no scope for the page/.test(document.getElementById("banner").textContent)`)
		h.refuses.Store(false)
		b.Holds(t, "it is back", `document.getElementById("banner").hidden`)
	})
}

// picture keeps a picture of the page in the folder that BACKSTAY_PICTURES names, to be looked at.
func picture(t *testing.T, b *browsertest.Browser, name string) {
	t.Helper()
	dir := os.Getenv("BACKSTAY_PICTURES")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(b.Context, chromedp.FullScreenshot(100))
	if err == nil {
		err = os.WriteFile(dir+"/"+name, png, 0o600)
	}
	if err != nil {
		t.Error(err)
	}
}
