package demo

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/load"
	"github.com/backstay-go/backstay/chaos/scenario"
	"github.com/backstay-go/backstay/internal/cli"
	"github.com/backstay-go/backstay/licensesvc/chaostest"
	"github.com/backstay-go/backstay/licensesvc/dashboard"
	"github.com/backstay-go/backstay/resilience"
)

// every is the time that one line stands for.
const every = 2 * time.Second

// narrow is the width below which a line leaves out latency and dependencies.
const narrow = 76

// terminal shows the progress of a run: one line every two seconds and, on a terminal, a status
// bar below them. A line fits in the terminal's width, and is written at once.
type terminal struct {
	out      io.Writer
	style    cli.Style
	width    int
	play     *load.Run
	injector *chaos.Injector
	expected map[string]string
	recorder *dashboard.Recorder
	guards   []*resilience.Guard
	progress *mpb.Progress
	bar      *mpb.Bar
	// shown is how many answers the lines have counted; active are the faults that they named.
	shown  int
	active []string
}

func newTerminal(cfg Config, v scenario.View) *terminal {
	t := &terminal{out: cfg.Out, style: cfg.Style, width: cmp.Or(cfg.Width, cli.DefaultWidth), play: v.Load, injector: v.Injector, expected: v.Scenario.Expected}
	total, _, _ := t.play.Progress()
	if s, ok := v.System.(*chaostest.System); ok {
		t.recorder, t.guards = s.Recorder(), s.Guards()
		fmt.Fprintf(t.out, "%s\n%d requests in %s, on %s, seed %d\nPage  %s\n\n%s\n", t.style.Bold(v.Scenario.Title), total, v.Scenario.Length(), s.Store(), v.Scenario.Seed, page(s), t.heading())
	}
	if cfg.Terminal {
		t.progress = mpb.New(mpb.WithOutput(cfg.Out), mpb.WithWidth(min(60, t.width)), mpb.WithRefreshRate(200*time.Millisecond))
		t.bar = t.progress.AddBar(int64(total), mpb.AppendDecorators(decor.Percentage(), decor.Elapsed(decor.ET_STYLE_GO, decor.WC{W: 7})))
		t.out = t.progress
	}
	return t
}

// page is the address of the live page.
func page(s *chaostest.System) string { return s.URL() + "/dashboard/" }

// heading returns the names of the columns.
func (t *terminal) heading() string {
	if t.width < narrow {
		return " time req/s  good"
	}
	text := " time req/s  good            p99 "
	for _, g := range t.guards {
		text += fmt.Sprintf(" %-8s", short(g.Snapshot().Dependency))
	}
	return strings.TrimRight(text, " ")
}

// legend explains the glyphs.
const legend = "● closed  ◐ half-open  ▲ open; the word beside it is what stood in"

// run shows the progress until the context ends.
func (t *terminal) run(ctx context.Context) {
	tick := time.NewTicker(every / 8)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			t.end()
			return
		case <-tick.C:
		}
		if t.bar != nil {
			_, _, done := t.play.Progress()
			t.bar.SetCurrent(int64(done))
		}
		if n%8 == 0 {
			// One write: the bar is drawn between writes.
			_, _ = io.WriteString(t.out, t.lines(time.Now()))
		}
	}
}

func (t *terminal) end() {
	if t.progress == nil {
		return
	}
	total, _, done := t.play.Progress()
	if done == total {
		t.bar.SetCurrent(int64(total))
	} else {
		t.bar.Abort(false)
	}
	t.progress.Wait()
}

// lines describes the last two seconds, and the faults that began or ended in them.
func (t *terminal) lines(now time.Time) string {
	samples := t.play.Since(t.shown)
	t.shown += len(samples)
	at := time.Since(t.play.Started())
	s := stretch{at: at, width: t.width, style: t.style}
	for _, sample := range samples {
		if sample.Good {
			s.good++
		}
	}
	s.requests, s.p99 = len(samples), load.Quantiles(samples, nil).P99
	for _, g := range t.guards {
		s.dependencies = append(s.dependencies, t.dependency(g.Snapshot(), now))
	}
	return s.line() + "\n" + t.changes(t.open(at))
}

// changes returns a line for each fault that began and for each that ended.
func (t *terminal) changes(open []string) string {
	var text strings.Builder
	for _, name := range open {
		if !slices.Contains(t.active, name) {
			line := name
			if expected := t.expected[name]; expected != "" {
				line += " · expected: " + expected
			}
			text.WriteString(t.style.Bold(clip("      begins: "+line, t.width)) + "\n")
		}
	}
	for _, name := range t.active {
		if !slices.Contains(open, name) {
			text.WriteString(clip("      ends:   "+name, t.width) + "\n")
		}
	}
	t.active = open
	return text.String()
}

// dependency describes one dependency in at most eight characters: the state of its breaker, and
// what stood in for it if that was more often than live data.
func (t *terminal) dependency(s resilience.Snapshot, now time.Time) string {
	glyph := map[resilience.BreakerState]string{resilience.BreakerClosed: "●", resilience.BreakerHalfOpen: "◐"}[s.Breaker]
	if glyph == "" {
		glyph = "▲"
	}
	sources := map[string]int{}
	for _, m := range t.recorder.History(s.Dependency, now, int(every/time.Second)) {
		for source, n := range m.Sources {
			sources[source] += n
		}
	}
	stand, most := "", sources["live"]+sources["hedge"]
	for _, name := range []string{"cache", "stale", "static"} {
		if sources[name] > most {
			stand, most = " "+name, sources[name]
		}
	}
	return glyph + stand
}

// open names the faults that are active at the given time, also those that a person injected.
func (t *terminal) open(at time.Duration) []string {
	var names []string
	plan := t.injector.Plan()
	for i := range plan.Rules {
		from, to := plan.Window(i)
		if from <= at && at < to {
			names = append(names, plan.RuleName(i))
		}
	}
	slices.Sort(names)
	return names
}

// stretch is what a line shows.
type stretch struct {
	at             time.Duration
	requests, good int
	p99            time.Duration
	dependencies   []string
	width          int
	style          cli.Style
}

// line returns the stretch in at most width columns.
func (s stretch) line() string {
	share := 0.0
	if s.requests > 0 {
		share = float64(s.good) / float64(s.requests)
	}
	good := "    –"
	if s.requests > 0 {
		good = fmt.Sprintf("%3.0f %%", 100*share)
	}
	rate := float64(s.requests) / every.Seconds()
	if s.width < narrow {
		return clip(fmt.Sprintf("%3d s %5.0f %s  ", int(s.at.Round(time.Second)/time.Second), rate, good), s.width)
	}
	text := fmt.Sprintf("%3d s %5.0f  %s %s %5s  ", int(s.at.Round(time.Second)/time.Second), rate, good, bar(share), latency(s.p99))
	for _, d := range s.dependencies {
		text += pad(d, 8) + " "
	}
	text = clip(text, s.width)
	// Colour comes last, as it takes no columns.
	for glyph, colour := range map[string]func(string) string{"●": s.style.Good, "◐": s.style.Poor, "▲": s.style.Bad} {
		text = strings.ReplaceAll(text, glyph, colour(glyph))
	}
	return text
}

// bar draws a share in six characters.
func bar(share float64) string {
	full := int(share*6 + 0.5)
	return strings.Repeat("█", full) + strings.Repeat("░", 6-full)
}

func latency(d time.Duration) string {
	if d >= 10*time.Second {
		return fmt.Sprintf("%.0fs", d.Seconds())
	}
	return fmt.Sprintf("%dms", d.Milliseconds())
}

func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(text)))
}

// clip shortens a text to a width, and shows that it did.
func clip(text string, width int) string {
	text = strings.TrimRight(text, " ")
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	return strings.TrimRight(string([]rune(text)[:width-1]), " ") + "…"
}

// short shortens a dependency's name so that it fits in a column.
func short(dependency string) string {
	switch dependency {
	case "event-store":
		return "store"
	case "membership":
		return "members"
	case "key-service":
		return "keys"
	}
	return clip(dependency, 8)
}
