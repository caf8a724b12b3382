package service

import (
	"testing"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

// TestTheLeastImportantIsRefusedFirst raises the pressure and looks which classes are refused.
func TestTheLeastImportantIsRefusedFirst(t *testing.T) {
	h := newHeadroom()
	late := measured{delay: 10 * delayTarget}
	share := func(c resilience.Criticality) float64 {
		n := 0
		for range 1000 {
			if h.shed(c) {
				n++
			}
		}
		return float64(n) / 1000
	}
	for tick := range 100 {
		h.adjust(late)
		lists, licenses, renewals := share(resilience.SheddablePlus), share(resilience.Critical), share(resilience.CriticalPlus)
		if licenses > 0 && lists < 1 || renewals > 0 {
			t.Fatalf("measurement %d: %.2f of the lists, %.2f of the licenses and %.2f of the renewals are refused", tick, lists, licenses, renewals)
		}
	}
	if share(resilience.Critical) != 1 || h.health().state != StateDegraded {
		t.Errorf("after 100 late measurements: %.2f of the licenses, %+v", share(resilience.Critical), h.health())
	}
	good := measured{delay: time.Microsecond}
	ticks := 0
	for ; h.health().state != StateOK; ticks++ {
		h.adjust(good)
	}
	if share(resilience.Sheddable) != 0 {
		t.Error("something is refused without pressure")
	}
	for _, m := range []measured{{memory: 0.95}, {goroutines: 2 * maxGoroutines}} {
		h.adjust(m)
		if h.health().state != StateDegraded {
			t.Errorf("%+v is not too much", m)
		}
		h.adjust(good)
		h.adjust(good)
	}
	t.Logf("back after %d measurements", ticks)
}
