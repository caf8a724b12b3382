package chaos

import (
	"math"
	"slices"
	"testing"
	"time"
)

// TestTheHashIsPinned holds literal values: another process, machine or year
// must get the same. If it fails, the hash changed, and every recorded seed lost
// its meaning; change the code back, not the values.
func TestTheHashIsPinned(t *testing.T) {
	for _, c := range []struct {
		seed     uint64
		rule, id string
		attempt  int
		want     uint64
	}{
		{0, "", "", 0, 0xd991e919042832c6},
		{1, "catalog slow", "request-1", 1, 0x14fe1d8cf807afca},
		{1, "catalog slow", "request-1", 2, 0x17e6c55a7da88cf4},
		{1, "catalog slow", "request-2", 1, 0x65bb38f74bba040c},
		{42, "keys hung", "#7", 1, 0x2b824fe6b6def6ac},
		{math.MaxUint64, "r", "\x00", 3, 0x73da66bc1c95c276},
	} {
		if got := uint64(newRoll(c.seed, c.rule, c.id, c.attempt)); got != c.want {
			t.Errorf("%v %q %q %d: %#x, want %#x", c.seed, c.rule, c.id, c.attempt, got, c.want)
		}
	}
	r := newRoll(1, "a", "b", 1)
	if got, want := []uint64{r.word(0), r.word(1), r.word(16)}, []uint64{0xe651166e739ea769, 0x73af26b7355d9bf, 0x9bf9c665896ee5ac}; !slices.Equal(got, want) {
		t.Errorf("words are %#x, want %#x", got, want)
	}
}

func TestPartsOfTheHashDoNotRunTogether(t *testing.T) {
	if newRoll(1, "ab", "c", 1) == newRoll(1, "a", "bc", 1) {
		t.Error("rule and identity run together")
	}
}

// TestDistributions compares mean, spread and bounds of 20,000 draws with the
// stated distribution. The draws are fixed by the seed, so it cannot flake.
func TestDistributions(t *testing.T) {
	const n = 20_000
	ms := time.Millisecond
	for name, c := range map[string]struct {
		what               What
		mean, sd, min, max time.Duration
	}{
		"fixed":   {What{Delay: 100 * ms}, 100 * ms, 0, 100 * ms, 100 * ms},
		"uniform": {What{Delay: 100 * ms, Jitter: 20 * ms}, 100 * ms, 11547 * time.Microsecond, 80 * ms, 120 * ms},
		"normal":  {What{Delay: 100 * ms, Jitter: 20 * ms, Distribution: Normal}, 100 * ms, 20 * ms, 0, 200 * ms},
		// Mean of Pareto: shape*scale/(shape-1).
		"pareto":    {What{Delay: 100 * ms, Distribution: Pareto, Shape: 5}, 125 * ms, 32 * ms, 100 * ms, time.Minute},
		"bounded":   {What{Delay: 100 * ms, Distribution: Pareto, Shape: 1, Max: 300 * ms}, 0, 0, 100 * ms, 300 * ms},
		"histogram": {What{Histogram: []Bucket{{UpTo: 10 * ms, Count: 1}, {UpTo: 20 * ms, Count: 0}, {UpTo: 30 * ms, Count: 3}}}, 20 * ms, 0, 0, 30 * ms},
	} {
		var sum, squares float64
		for i := range n {
			d := c.what.draw(newRoll(7, name, "request", i), 0)
			if d < c.min || d > c.max {
				t.Fatalf("%s: draw %v outside %v to %v", name, d, c.min, c.max)
			}
			sum += float64(d)
			squares += float64(d) * float64(d)
		}
		mean := sum / n
		sd := math.Sqrt(max(0, squares/n-mean*mean))
		if c.mean > 0 && math.Abs(mean-float64(c.mean)) > 0.01*float64(c.mean) {
			t.Errorf("%s: mean %v, want %v", name, time.Duration(mean), c.mean)
		}
		if c.sd > 0 && math.Abs(sd-float64(c.sd)) > 0.05*float64(c.sd) {
			t.Errorf("%s: deviation %v, want %v", name, time.Duration(sd), c.sd)
		}
	}
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"", "anything", true}, {"*", "", true}, {"a", "a", true}, {"a", "b", false},
		{"a*", "abc", true}, {"*c", "abc", true}, {"a*c", "abc", true}, {"a*c", "ab", false},
		{"a*b*c", "a-b-c", true}, {"a*b*c", "acb", false}, {"a*a", "a", false}, {"**", "x", true},
		{"x*", "", false}, {"*b*", "abc", true},
	} {
		if got := match(c.pattern, c.text); got != c.want {
			t.Errorf("match(%q, %q) = %v", c.pattern, c.text, got)
		}
	}
}
