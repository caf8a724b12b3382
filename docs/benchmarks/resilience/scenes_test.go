package resilience

import (
	"cmp"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/backstay-go/backstay/resilience"
)

var (
	sceneSeed = flag.Uint64("scene-seed", 1, "seed of the random scenes")
	scenes    = flag.Uint64("scenes", 50, "how many random scenes are simulated, if the table is written")
)

// shares is a scene's goodput in percent of the best fixed limit's, by phase.
type shares struct {
	scene
	percent []float64
}

func (s shares) worst() float64 { return slices.Min(s.percent) }

// throughGuard simulates the scene with a guard in virtual time.
func (s scene) throughGuard(t *testing.T, b resilience.BulkheadPolicy) (good []int) {
	synctest.Test(t, func(t *testing.T) { good = s.run(newGuarded(t, s, b)) })
	return good
}

// roomy reports whether the slow dependency still answers in half of the objective.
func (s scene) roomy() bool { return s.slower*float64(s.mean) <= float64(s.objective)/2 }

func (s scene) adaptive() resilience.BulkheadPolicy {
	return resilience.BulkheadPolicy{Limit: 20, Adaptive: &resilience.AdaptivePolicy{Objective: s.objective, Max: 10_000}}
}

func (s scene) shares(t *testing.T) shares {
	r := shares{scene: s}
	good := s.throughGuard(t, s.adaptive())
	for i, best := range s.best() {
		r.percent = append(r.percent, 100*float64(good[i])/float64(max(1, best)))
	}
	return r
}

// TestScenes writes scenes.md, with -write. Otherwise it holds the simulation: a guard with
// a fixed limit must do exactly what the plain counter does with which the best limit is
// searched, and an adaptive one must come near the best where there is no trouble.
func TestScenes(t *testing.T) {
	if *writes {
		writeScenes(t)
		return
	}
	for _, id := range []uint64{0, 5, 7} {
		s := newScene(1, id)
		plain, guard := s.run(&fixedLimit{limit: s.workers}), s.throughGuard(t, resilience.BulkheadPolicy{Limit: s.workers})
		if !slices.Equal(plain, guard) {
			t.Errorf("scene %d with a fixed limit: the guard has %d good answers, the plain counter %d", id, guard, plain)
		}
		if warm := s.shares(t).percent[0]; warm < 90 {
			t.Errorf("scene %d: %.1f %% of the best goodput in the warm phase; want at least 90", id, warm)
		}
	}
}

func writeScenes(t *testing.T) {
	rows := make([]shares, *scenes)
	t.Run("simulate", func(t *testing.T) {
		for id := range rows {
			t.Run(fmt.Sprint(id), func(t *testing.T) {
				t.Parallel() // a bubble keeps one core busy
				rows[id] = newScene(*sceneSeed, uint64(id)).shares(t)
			})
		}
	})
	write(t, "scenes.md", scenesPage(rows))
}

const scenesHead = `# Goodput of the adaptive limit in random scenes

Made by

    cd docs/benchmarks
    go test -run TestScenes -timeout 20m ./resilience -args -write -scene-seed %d -scenes %d

A real guard runs in virtual time (` + "`testing/synctest`" + `). Each scene draws 4 to 400 workers, a mean service time of 1 ms to 1 s (even, exponential, lognormal, or 5 %% of the requests ten times as long), an objective of 3 to 20 times the mean, an overload of 1.1 to 8 times the capacity, a usual load of 50 to 90 %% of it, a slow-down of 2 to 8 times, and callers that go after 1.5 to 4 objectives. The dependency finishes work whose caller has gone. The limit begins at 20. The phases have the proportions of [goodput.md](goodput.md), with 75 objectives for the warm one. Every limit meets the same requests, each with the same amount of work.

Figures are answers within the objective, in percent of those under the best fixed limit, which is searched for each scene and each phase. The bar is 95 in every phase of every scene.
`

const scenesWords = `
## What the figures say

- **What could be reached.** In a simulation that is not part of this table, an oracle that sets the best fixed limit two objectives after the slow-down begins gets at least 95.1 in the slow phase of every scene of seed 1, and 98.9 on average. So the bar leaves a law about a twenty-fifth of the phase in which to find the number of workers, without being told it. Where the slow service alone is longer than the objective, one permit in twenty too many costs nearly all good answers.
- **What is lost.** Below about 30 workers a slow phase has some hundred turnovers. The trial steps that tell a queue from a long service need several of them each, and the variation of the service times makes some of them err. Then the limit stays too low, until the next step up corrects it.
- **Abandoned work.** Where callers go before the slow service ends, the dependency works for nobody, and a limit a little above the knee fills its queue slowly until no call is answered. The limit then goes to a sixteenth until the queue is gone, and doubles from there.
- **The law before.** It was additive increase and multiplicative decrease by the objective alone. It held 13 of these 50 scenes, with a worst phase of 1.7, because a dependency whose service alone was late drove it to its floor.
- **What was tried besides.** The law and its constants were chosen with the scenes of seeds 1 and 2, so that seed 1 is no independent test. With both seeds, earlier forms of the law with steps down of 15 percent, pauses of 4 to 32 rounds, rounds of 24 to 48 attempts, and 1 to 2 standard errors differed by 1 to 2 points in the mean of the slow phase, one way with one seed and the other way with the other. The worst scene of a run varies by more than that: it is decided by a few trials. Without the room for bearable waits the slow phase loses a point on average. In one scene of seed 2 even the best fixed limit has only 2 good answers in the slow phase, so that its share means nothing.

`

func scenesPage(rows []shares) string {
	var page strings.Builder
	fmt.Fprintf(&page, scenesHead, *sceneSeed, len(rows))
	page.WriteString("\n| phase | median | worst | scenes below 95 |\n|-|-|-|-|\n")
	every := func(scene) bool { return true }
	summary := func(name string, of func(shares) float64, which func(scene) bool) {
		var all []float64
		below := 0
		for _, r := range rows {
			if !which(r.scene) {
				continue
			}
			all = append(all, of(r))
			if of(r) < 95 {
				below++
			}
		}
		if len(all) == 0 {
			return
		}
		slices.Sort(all)
		fmt.Fprintf(&page, "| %s | %.1f | %.1f | %d of %d |\n", name, all[len(all)/2], all[0], below, len(all))
	}
	phases := rows[0].phases()
	for i, p := range phases {
		share := func(r shares) float64 { return r.percent[i] }
		summary(p.name, share, every)
		if p.slower > 1 {
			summary(p.name+", mean at most half of the objective", share, scene.roomy)
			summary(p.name+", mean above it", share, func(s scene) bool { return !s.roomy() })
		}
	}
	summary("worst of its phases", shares.worst, every)
	page.WriteString(scenesWords)
	writeRows(&page, rows)
	return page.String()
}

// writeRows writes a line for each scene, the worst first.
func writeRows(page *strings.Builder, rows []shares) {
	phases := rows[0].phases()
	page.WriteString("\n| scene | workers | mean | service time | objective / mean | load | overload | slow-down | patience / objective |")
	for _, p := range phases {
		page.WriteString(" " + p.name + " |")
	}
	page.WriteString("\n|" + strings.Repeat("-|", 9+len(phases)) + "\n")
	slices.SortStableFunc(rows, func(a, b shares) int { return cmp.Compare(a.worst(), b.worst()) })
	for _, r := range rows {
		over := func(a, b float64) string { return fmt.Sprintf("%.1f", a/b) }
		fmt.Fprintf(page, "| %d | %d | %.3g ms | %s | %s | %.2f | %.1f | %.1f | %s |", r.id, r.workers, 1000*r.mean.Seconds(), services[r.service].name,
			over(float64(r.objective), float64(r.mean)), r.load, r.overload, r.slower, over(float64(r.patience), float64(r.objective)))
		for _, percent := range r.percent {
			fmt.Fprintf(page, " %.1f |", percent)
		}
		page.WriteString("\n")
	}
}
