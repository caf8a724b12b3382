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
// a fault and tells all that is seen of it; it is called from several goroutines. Its times
// are real, so that what it tells of one fault may vary: what counts is what it tells most
// often, and at least twice.
func Differ(t *testing.T, place string, unit time.Duration, watch func(*testing.T, chaos.What) string) {
	t.Helper()
	var wg sync.WaitGroup
	few := make(chan struct{}, atOnce)
	for _, v := range Variants(place, unit) {
		wg.Go(func() {
			few <- struct{}{}
			defer func() { <-few }()
			a, b := &told{}, &told{}
			for range tries {
				var both sync.WaitGroup
				both.Go(func() { a.add(watch(t, v.A)) })
				both.Go(func() { b.add(watch(t, v.B)) })
				both.Wait()
				if a.most > 1 && b.most > 1 && a.usual != b.usual {
					return
				}
			}
			t.Errorf("%s makes no difference, or never the same twice (%d and %d of %d):\n%s\nand\n%s", v.Name(), a.most, b.most, tries, a.usual, b.usual)
		})
	}
	wg.Wait()
}

// told counts what was told of a fault.
type told struct {
	times map[string]int
	usual string // what was told most often
	most  int    // how often
}

func (o *told) add(text string) {
	if o.times == nil {
		o.times = map[string]int{}
	}
	o.times[text]++
	if o.times[text] > o.most {
		o.usual, o.most = text, o.times[text]
	}
}
