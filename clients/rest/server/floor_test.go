package server

import (
	"testing"
	"time"
)

func TestFloor(t *testing.T) {
	const ms = time.Millisecond
	now := time.Unix(1000, 0)
	f := &floor{}
	admits := func(left time.Duration) bool { ok, _ := f.admits(left, now); return ok }
	for range floorCalls - 1 {
		f.saw(100*ms, now)
	}
	if !admits(ms) {
		t.Error("it judges before it has seen enough")
	}
	f.saw(90*ms, now)
	if ok, probe := f.admits(89*ms, now); !ok || !probe {
		t.Error("the first with too little time is let through, to find out")
	}
	if admits(89 * ms) {
		t.Error("what can't be done in time is let through")
	}
	if !admits(90 * ms) {
		t.Error("what the fastest managed is refused")
	}
	now = now.Add(floorProbe)
	if ok, probe := f.admits(89*ms, now); !ok || !probe {
		t.Error("none is let through to find out")
	}
	if admits(89 * ms) {
		t.Error("the second is let through too")
	}
	f.saw(5*ms, now)
	if !admits(6 * ms) {
		t.Error("a faster success does not count at once")
	}
	// The fast one is forgotten after two halves, the slow ones of the next half count.
	now = now.Add(floorWindow)
	for range floorCalls {
		f.saw(200*ms, now)
	}
	if !admits(6 * ms) {
		t.Error("the older half is forgotten")
	}
	now = now.Add(floorWindow)
	f.saw(200*ms, now)
	_, _ = f.admits(ms, now) // the probe
	if admits(199 * ms) {
		t.Error("what is older than two halves counts")
	}
	now = now.Add(2 * floorWindow)
	if !admits(ms) {
		t.Error("what is old counts for ever")
	}
}
