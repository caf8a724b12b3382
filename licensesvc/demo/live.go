package demo

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/load"
	"github.com/backstay-go/backstay/chaos/scenario"
	"github.com/backstay-go/backstay/licensesvc/chaostest"
	"github.com/backstay-go/backstay/licensesvc/dashboard"
	"github.com/backstay-go/backstay/resilience"
)

// live shows the progress of a run: one line every two seconds and, on a terminal, a status bar
// below them.
type live struct {
	out      io.Writer
	play     *load.Run
	plan     chaos.Plan
	recorder *dashboard.Recorder
	guards   []*resilience.Guard
	progress *mpb.Progress
	bar      *mpb.Bar
	shown    int
}

const every = 2 * time.Second

func newLive(cfg Config, v scenario.View) *live {
	play := v.Load
	l := &live{out: cfg.Out, play: play, plan: v.Scenario.Plan()}
	if s, ok := v.System.(*chaostest.System); ok {
		l.recorder, l.guards = s.Recorder(), s.Guards()
		total, _, _ := play.Progress()
		fmt.Fprintf(cfg.Out, "License service on %s at %s, page at %s/dashboard/\n", s.Store(), s.URL(), s.URL())
		fmt.Fprintf(cfg.Out, "%d requests in %s; %s\n\n", total, v.Scenario.Length(), v.Scenario.Title)
	}
	if cfg.Terminal {
		total, _, _ := play.Progress()
		l.progress = mpb.New(mpb.WithOutput(cfg.Out), mpb.WithWidth(60), mpb.WithRefreshRate(200*time.Millisecond))
		l.bar = l.progress.AddBar(int64(total), mpb.PrependDecorators(decor.CountersNoUnit("%d of %d requests ")), mpb.AppendDecorators(decor.Percentage(), decor.Elapsed(decor.ET_STYLE_GO, decor.WC{W: 7})))
		l.out = l.progress
	}
	return l
}

// run shows the progress until the context ends.
func (l *live) run(ctx context.Context) {
	tick := time.NewTicker(every / 8)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			l.end()
			return
		case <-tick.C:
		}
		if l.bar != nil {
			_, _, done := l.play.Progress()
			l.bar.SetCurrent(int64(done))
		}
		if n%8 == 0 {
			l.tell(time.Now())
		}
	}
}

func (l *live) end() {
	if l.progress == nil {
		return
	}
	total, _, done := l.play.Progress()
	if done == total {
		l.bar.SetCurrent(int64(total))
	} else {
		l.bar.Abort(false)
	}
	l.progress.Wait()
}

// tell writes one line.
func (l *live) tell(now time.Time) {
	samples := l.play.Since(l.shown)
	l.shown += len(samples)
	good := 0
	for _, s := range samples {
		if s.Good {
			good++
		}
	}
	quantiles := load.Quantiles(samples, nil)
	at := time.Since(l.play.Started())
	share := 0.0
	if len(samples) > 0 {
		share = 100 * float64(good) / float64(len(samples))
	}
	fmt.Fprintf(l.out, "%s  %4.0f/s  %5.1f %% good  p99 %5d ms", clock(at), float64(len(samples))/every.Seconds(), share, quantiles.P99.Milliseconds())
	for _, g := range l.guards {
		fmt.Fprintf(l.out, "  %s", l.dependency(g.Snapshot(), now))
	}
	if open := l.open(at); open != "" {
		fmt.Fprintf(l.out, "  << %s", open)
	}
	fmt.Fprintln(l.out)
}

// dependency describes one dependency in a few letters: the state of its breaker, and the sources
// of the answers of the last two seconds.
func (l *live) dependency(s resilience.Snapshot, now time.Time) string {
	sources := map[string]int{}
	for _, m := range l.recorder.History(s.Dependency, now, int(every/time.Second)) {
		for source, n := range m.Sources {
			sources[source] += n
		}
	}
	var parts []string
	for _, name := range []string{"live", "hedge", "cache", "stale", "static"} {
		if n := sources[name]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", name, n))
		}
	}
	if len(parts) == 0 {
		parts = append(parts, "-")
	}
	state := s.Breaker.String()
	return fmt.Sprintf("%s[%s] %s", short(s.Dependency), state, strings.Join(parts, " "))
}

// short shortens a dependency's name so that it fits in a line.
func short(dependency string) string {
	switch dependency {
	case "event-store":
		return "store"
	case "event-store.isolated":
		return "views"
	case "membership":
		return "members"
	case "key-service":
		return "keys"
	}
	return dependency
}

func clock(d time.Duration) string {
	return fmt.Sprintf("%2d s", int(d.Round(time.Second)/time.Second))
}

// open names the faults that are active at the given time.
func (l *live) open(at time.Duration) string {
	var names []string
	for i := range l.plan.Rules {
		if from, to := l.plan.Window(i); from <= at && at-every < to {
			names = append(names, l.plan.RuleName(i))
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
