package load_test

import (
	"context"
	"errors"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/backstay-go/backstay/chaos/load"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestScheduleIsAFunctionOfItsSeed(t *testing.T) {
	stages := []load.Stage{{For: 10 * time.Second, PerSecond: 50}, {For: 5 * time.Second, PerSecond: 200}}
	a, err := load.Schedule(stages, 7)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := load.Schedule(stages, 7)
	c, _ := load.Schedule(stages, 8)
	if !slices.Equal(a, b) || slices.Equal(a, c) {
		t.Error("the seed does not decide the schedule")
	}
}

func TestScheduleKeepsItsRates(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stages := []load.Stage{
			{For: time.Duration(rapid.IntRange(10, 60).Draw(t, "seconds")) * time.Second, PerSecond: rapid.Float64Range(20, 200).Draw(t, "rate")},
			{For: time.Duration(rapid.IntRange(10, 60).Draw(t, "seconds")) * time.Second, PerSecond: rapid.Float64Range(20, 200).Draw(t, "rate")},
		}
		times, err := load.Schedule(stages, rapid.Uint64().Draw(t, "seed"))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.IsSorted(times) || times[len(times)-1] >= load.Length(stages) {
			t.Fatal("out of order, or beyond the end")
		}
		begin := time.Duration(0)
		for _, s := range stages {
			n := 0
			for _, at := range times {
				if at >= begin && at < begin+s.For {
					n++
				}
			}
			// Six standard deviations of a Poisson count.
			if want := s.PerSecond * s.For.Seconds(); math.Abs(float64(n)-want) > 6*math.Sqrt(want) {
				t.Fatalf("%d requests in a stage that should have %.0f", n, want)
			}
			begin += s.For
		}
	})
}

func TestScheduleNamesEveryProblem(t *testing.T) {
	_, err := load.Schedule([]load.Stage{{For: -1, PerSecond: 1}, {For: 1, PerSecond: math.NaN()}}, 1)
	for _, want := range []string{"stages[0].for", "stages[1].per_second"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
	if _, err := load.Schedule([]load.Stage{{For: time.Hour, PerSecond: 1e9}}, 1); err == nil {
		t.Error("a schedule that does not fit in memory was made")
	}
	if _, err := load.New(load.Config{MaxInFlight: -1, MaxLag: -1, LagShare: 1}); !errors.Is(err, load.ErrConfig) || strings.Count(err.Error(), "\n") != 3 {
		t.Errorf("not all four problems: %v", err)
	}
}

// TestLatencyCountsFromTheIntendedStart: a server that serves one request at a
// time and stalls for 2 s. A closed loop would see one slow request.
func TestLatencyCountsFromTheIntendedStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var schedule []time.Duration
		for i := range 100 {
			schedule = append(schedule, time.Duration(i)*100*time.Millisecond)
		}
		server := make(chan struct{}, 1)
		r, err := load.New(load.Config{Schedule: schedule})
		if err != nil {
			t.Fatal(err)
		}
		res, err := r.Play(t.Context(), func(_ context.Context, n int) load.Sample {
			server <- struct{}{}
			if n == 10 {
				time.Sleep(2 * time.Second)
			}
			<-server
			return load.Sample{Kind: "get", Outcome: "ok", Good: true}
		})
		if err != nil || res.Void() != "" {
			t.Fatal(err, res.Void())
		}
		slow := 0
		for _, s := range res.Samples {
			if s.Latency() >= 500*time.Millisecond {
				slow++
			}
		}
		if slow < 15 || slow > 16 {
			t.Errorf("%d requests saw half a second or more of the stall, want those of 1.5 s", slow)
		}
		if b := res.Buckets(time.Second); len(b) != 10 || b[1].Offered != 10 || b[1].Latency.Max != 2*time.Second || b[0].Latency.Max != 0 {
			t.Errorf("buckets: %+v", b)
		}
	})
}

// TestAGeneratorThatFellBehindEndsTheRun: what follows could not make the run worth anything,
// and would only take time.
func TestAGeneratorThatFellBehindEndsTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, err := load.New(load.Config{Schedule: make([]time.Duration, 200), MaxInFlight: 10})
		if err != nil {
			t.Fatal(err)
		}
		res, err := r.Play(t.Context(), func(context.Context, int) load.Sample {
			time.Sleep(100 * time.Millisecond)
			return load.Sample{Outcome: "ok"}
		})
		if err != nil {
			t.Fatal(err)
		}
		// One in a hundred may be late: the third is one too many.
		if !res.Abandoned || !strings.Contains(res.Void(), "ended after 13 of 200 requests: 3 started") {
			t.Errorf("not void: %q", res.Void())
		}
		if took := time.Since(res.Start); took > 300*time.Millisecond {
			t.Errorf("it took %s", took)
		}
	})
}

func TestTheEndOfTheContextEndsTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		schedule, err := load.Schedule([]load.Stage{{For: time.Minute, PerSecond: 10}}, 1)
		if err != nil {
			t.Fatal(err)
		}
		r, err := load.New(load.Config{Schedule: schedule})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		res, err := r.Play(ctx, func(ctx context.Context, n int) load.Sample {
			if n == 3 {
				runtime.Goexit()
			}
			<-ctx.Done()
			return load.Sample{Outcome: "cancelled"}
		})
		if err != nil {
			t.Fatal(err)
		}
		_, sent, done := r.Progress()
		if sent != done || done != len(res.Samples) || done < 50 || done >= len(schedule) || !strings.Contains(res.Void(), "interrupted") {
			t.Errorf("sent %d, done %d, samples %d, void %q", sent, done, len(res.Samples), res.Void())
		}
		if res.Samples[3].Outcome != "ended" {
			t.Errorf("a request that left by Goexit: %+v", res.Samples[3])
		}
		if _, err := r.Play(t.Context(), nil); !errors.Is(err, load.ErrConfig) {
			t.Errorf("played twice: %v", err)
		}
	})
}
