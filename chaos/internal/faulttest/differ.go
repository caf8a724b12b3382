package faulttest

import (
	"sync"
	"testing"
	"time"

	"github.com/backstay-go/backstay/chaos"
)

const (
	// atOnce is how many parameters are tried at once: with more they hold each other up.
	atOnce = 8
	// tries is how often a fault is watched, at most.
	tries = 10
)

// Differ fails the test for each parameter at a place that makes no difference. Watch runs
// a fault and reports everything observable, each in a separate subtest. Several run at once.
// Its times are real, so that what it tells of one fault may vary: what counts is what it
// tells most often, and at least twice.
func Differ(t *testing.T, place string, unit time.Duration, watch func(*testing.T, chaos.What) string) {
	t.Helper()
	var wg sync.WaitGroup
	few := make(chan struct{}, atOnce)
	for _, v := range Variants(place, unit) {
		wg.Go(func() {
			few <- struct{}{}
			defer func() { <-few }()
			a, b := &sightings{}, &sightings{}
			for range tries {
				var both sync.WaitGroup
				var watched [2]bool
				for i, o := range []*sightings{a, b} {
					what := []chaos.What{v.A, v.B}[i]
					both.Go(func() {
						watched[i] = t.Run(v.Name(), func(t *testing.T) { o.add(watch(t, what)) })
					})
				}
				both.Wait()
				if !watched[0] || !watched[1] || a.most > 1 && b.most > 1 && a.usual != b.usual {
					return
				}
			}
			t.Errorf("%s makes no difference, or never the same twice (%d and %d of %d):\n%s\nand\n%s", v.Name(), a.most, b.most, tries, a.usual, b.usual)
		})
	}
	wg.Wait()
}

// sightings counts the descriptions of what was seen of a fault.
type sightings struct {
	times map[string]int
	usual string // the most frequent one
	most  int    // its count
}

func (o *sightings) add(text string) {
	if o.times == nil {
		o.times = map[string]int{}
	}
	o.times[text]++
	if o.times[text] > o.most {
		o.usual, o.most = text, o.times[text]
	}
}
