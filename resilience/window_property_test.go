package resilience

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

type counted struct {
	at        int64
	bad, slow bool
}

// TestWindowAgreesWithARecount adds calls at drawn times, also after long gaps, and
// compares with a list of all of them.
func TestWindowAgreesWithARecount(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		length := time.Duration(rapid.IntRange(10, 20_000).Draw(rt, "ms")) * time.Millisecond
		now := rapid.Int64Range(0, int64(1000*time.Hour)).Draw(rt, "start")
		w := newWindow(length, now)
		bucket := int64(length) / windowBuckets
		var all []counted
		for range rapid.IntRange(1, 200).Draw(rt, "calls") {
			now += rapid.OneOf(rapid.Int64Range(0, bucket), rapid.Int64Range(0, 3*int64(length)), rapid.Just(int64(0))).Draw(rt, "gap")
			c := counted{now, rapid.Bool().Draw(rt, "bad"), rapid.Bool().Draw(rt, "slow")}
			all = append(all, c)
			w.add(c.at, c.bad, c.slow)
			if got, want := w.sum(now), recount(all, bucket, now); got != want {
				rt.Fatalf("at %d: %+v; want %+v", now, got, want)
			}
		}
		// A longer window forgets nothing that the old one held.
		before := w.sum(now)
		if got := w.resized(3*length, now).sum(now); got != before {
			rt.Fatalf("resized: %+v; want %+v", got, before)
		}
		// A shorter one holds no more, and all of the newest part.
		short := w.resized(length/2, now).sum(now)
		newest := recount(all[len(all)-1:], bucket, now)
		if short.calls > before.calls || short.bad > before.bad || short.calls < newest.calls {
			rt.Fatalf("shortened: %+v of %+v", short, before)
		}
	})
}

func recount(all []counted, bucket, now int64) (t tally) {
	for _, c := range all {
		if c.at/bucket <= now/bucket-windowBuckets {
			continue
		}
		t.calls++
		if c.bad {
			t.bad++
		}
		if c.slow {
			t.slow++
		}
	}
	return t
}

// TestPausesKeepToTheirBound: full jitter means from zero to the bound, and the
// bound grows from pause to pause up to the greatest.
func TestPausesKeepToTheirBound(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := &RetryPolicy{
			BaseDelay:  time.Duration(rapid.IntRange(1, 1000).Draw(rt, "base")) * time.Millisecond,
			Multiplier: float64(rapid.IntRange(10, 40).Draw(rt, "multiplier")) / 10,
		}
		p.MaxDelay = p.BaseDelay * time.Duration(rapid.IntRange(1, 20).Draw(rt, "max"))
		b := pauses(p)
		bound := float64(p.BaseDelay)
		for i := range 10 {
			if d := drawPause(nil, b); d < 0 || float64(d) > bound+float64(time.Microsecond) {
				rt.Fatalf("pause %d is %v; want at most %v", i+1, d, time.Duration(bound))
			}
			bound = min(bound*p.Multiplier, float64(p.MaxDelay))
		}
	})
}

// TestPausesAreSpread: jitter that is not full leaves a herd.
func TestPausesAreSpread(t *testing.T) {
	p := &RetryPolicy{BaseDelay: time.Second, MaxDelay: time.Second, Multiplier: 1}
	var low, high int
	for range 1000 {
		switch d := drawPause(nil, pauses(p)); {
		case d < 250*time.Millisecond:
			low++
		case d > 750*time.Millisecond:
			high++
		}
	}
	if low < 150 || high < 150 { // 250 each on average; below 150 is 8 sigma away
		t.Errorf("of 1000 pauses %d in the lowest quarter, %d in the highest", low, high)
	}
}

// TestWindowFollowsTheRateOfAFullBucket: a bucket that can count no further must not stop
// at the rate that it has. All of these calls fall into one bucket of one shard.
func TestWindowFollowsTheRateOfAFullBucket(t *testing.T) {
	w := newWindow(time.Hour, 0)
	w.shards = w.shards[:1]
	add := func(n int, bad, slow bool) {
		for range n {
			w.add(1, bad, slow)
		}
	}
	add(countMask+1, false, false)
	add(countMask, true, true)
	got := w.sum(1)
	share := func(n int) float64 { return float64(n) / float64(got.calls) }
	if got.calls < maxMinimumCalls || share(got.bad) < 0.5 || share(got.slow) < 0.5 || got.bad > got.calls || got.slow > got.calls {
		t.Errorf("%+v after as many failures as a bucket counts; want at least half of it bad, and slow", got)
	}
}

// TestWindowsThatMergeKeepTheirRates: buckets of several shards may hold more than one.
func TestWindowsThatMergeKeepTheirRates(t *testing.T) {
	w := newWindow(time.Hour, 0)
	w.shards = make([]windowShard, 4)
	for i := range w.shards {
		w.shards[i].slots[0].calls.Store(countMask/2<<countBits | countMask)
		w.shards[i].slots[0].slow.Store(countMask / 4)
	}
	got := w.resized(2*time.Hour, 1).sum(1)
	for name, c := range map[string]struct{ n, want int }{"bad": {got.bad, got.calls / 2}, "slow": {got.slow, got.calls / 4}} {
		if d := float64(c.n-c.want) / float64(c.want); got.calls < maxMinimumCalls || d < -0.01 || d > 0.01 {
			t.Errorf("%s: %d of %+v; want %d", name, c.n, got, c.want)
		}
	}
}
