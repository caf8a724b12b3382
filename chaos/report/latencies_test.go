package report_test

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/backstay-go/backstay/chaos/load"
	"github.com/backstay-go/backstay/chaos/report"
)

func TestLatenciesReadBackAsTheyWere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var samples []load.Sample
		for _, us := range rapid.SliceOf(rapid.Int64Range(-10, 1<<40)).Draw(t, "us") {
			samples = append(samples, load.Sample{Done: time.Duration(us) * time.Microsecond})
		}
		l := report.LatenciesOf(samples)
		text, err := json.Marshal(map[string]report.Latencies{"all": l})
		if err != nil {
			t.Fatal(err)
		}
		var back map[string]report.Latencies
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(back["all"], l) {
			t.Errorf("%v came back as %v", l, back["all"])
		}
	})
}

func TestBadLatenciesAreRefused(t *testing.T) {
	for _, text := range []string{"*", "gA==", "/////////////w8=", "////////////////AQ=="} {
		var l report.Latencies
		if err := l.UnmarshalText([]byte(text)); err == nil || !strings.Contains(err.Error(), "latencies") {
			t.Errorf("%q: %v, %v", text, l, err)
		}
	}
	if _, err := (report.Latencies{2 * time.Second, time.Second}).MarshalText(); err == nil {
		t.Error("unsorted ones were written")
	}
}

func TestQuantilesAreExact(t *testing.T) {
	var l report.Latencies
	for i := range 1000 {
		l = append(l, time.Duration(i+1)*time.Millisecond)
	}
	for q, want := range map[float64]time.Duration{0: 1, 0.5: 500, 0.95: 950, 0.99: 990, 0.999: 999, 1: 1000} {
		if got := l.Quantile(q); got != want*time.Millisecond {
			t.Errorf("quantile %g is %s", q, got)
		}
	}
	if got := (report.Latencies{}).Quantile(0.5); got != 0 {
		t.Errorf("of none: %s", got)
	}
	// 1.96 standard deviations of a binomial distribution: 31 of 1000 at the median.
	if from, to := l.Interval(0.5); from != 469*time.Millisecond || to != 532*time.Millisecond {
		t.Errorf("the median is within %s and %s", from, to)
	}
}

// exponential is a run whose latencies have that mean.
func exponential(seed uint64, n int, mean time.Duration) *report.Report {
	rng := rand.New(rand.NewPCG(seed, 1))
	var samples []load.Sample
	for range n {
		samples = append(samples, load.Sample{Done: time.Duration(rng.ExpFloat64() * float64(mean))})
	}
	return &report.Report{Title: "t", Verdict: report.Passed, Metrics: map[string]float64{"p50_s": float64(seed)},
		Latencies: map[string]report.Latencies{"all": report.LatenciesOf(samples)}}
}

func TestCompareTellsChanceFromChange(t *testing.T) {
	const mean = 100 * time.Millisecond
	for seed := range uint64(40) {
		if c := report.Compare(exponential(2*seed, 1000, mean), exponential(2*seed+1, 1000, mean)); len(c.Worse)+len(c.Better) > 0 {
			t.Errorf("seed %d: two runs of one thing differ: %s", seed, c.Text())
		}
		c := report.Compare(exponential(2*seed, 1000, mean), exponential(2*seed+1, 1000, mean*3/2))
		if len(c.Worse) == 0 || len(c.Better) > 0 || c.Worse[0].Name != "p50 of all" {
			t.Errorf("seed %d: half as slow again was not seen: %s", seed, c.Text())
		}
	}
	// A few requests prove nothing.
	if c := report.Compare(exponential(1, 5, mean), exponential(2, 5, 2*mean)); len(c.Worse)+len(c.Better) > 0 {
		t.Errorf("five requests proved: %s", c.Text())
	}
}
