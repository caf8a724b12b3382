package rest

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestEjectionTimesAreBounded: an ejection lasts its multiple of BaseEjection, at most
// MaxEjection, whatever the two and the number of ejections are. Products that overflow
// would end an ejection before it begins.
func TestEjectionTimesAreBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		long := rapid.Int64Range(1, math.MaxInt64)
		p := OutlierPolicy{Consecutive: 1, BaseEjection: time.Duration(long.Draw(t, "base")), MaxEjection: time.Duration(long.Draw(t, "max"))}
		b, err := NewBalancer(BalancerConfig{Addresses: []string{"http://a.test", "http://b.test"}, Outlier: p})
		if err != nil {
			t.Fatal(err)
		}
		one := b.backends[0]
		one.times = rapid.IntRange(0, math.MaxInt32-1).Draw(t, "ejections before")
		now := time.Now()
		b.ejectLocked(one, now)
		got, want := one.until.Sub(now), p.MaxEjection
		if p.BaseEjection <= p.MaxEjection/time.Duration(one.times) {
			want = p.BaseEjection * time.Duration(one.times)
		}
		if got != want || got <= 0 || got > p.MaxEjection {
			t.Errorf("ejection %d of %v, at most %v, lasts %v", one.times, p.BaseEjection, p.MaxEjection, got)
		}
	})
}

// TestTheLaterEjectionsLastLonger: the first lasts 1 s, the next 2 s, and none more than 5.
func TestTheLaterEjectionsLastLonger(t *testing.T) {
	b, err := NewBalancer(BalancerConfig{Addresses: []string{"http://a.test", "http://b.test"}, Outlier: OutlierPolicy{Consecutive: 1, BaseEjection: time.Second, MaxEjection: 5 * time.Second}})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for i := range 8 {
		b.ejectLocked(b.backends[0], now)
		if got, want := b.backends[0].until.Sub(now), min(time.Duration(i+1), 5)*time.Second; got != want {
			t.Errorf("ejection %d lasts %v, want %v", i+1, got, want)
		}
		now = b.backends[0].until
	}
}

// TestRetryAfterIsSpread: upwards, by at most a fifth, and not to one value.
func TestRetryAfterIsSpread(t *testing.T) {
	for _, after := range []time.Duration{-time.Second, 0, 1, time.Second, time.Hour, maxRetryAfter} {
		seen := map[time.Duration]bool{}
		for range 200 {
			got := spread(after)
			if after <= 0 && got != 0 || after > 0 && (got < after || got > after+after/5) {
				t.Fatalf("%v became %v", after, got)
			}
			seen[got] = true
		}
		if after >= time.Second && len(seen) < 100 {
			t.Errorf("%v became only %d values", after, len(seen))
		}
	}
}
