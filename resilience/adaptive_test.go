package resilience_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

// server is a dependency with workers behind one endless queue, first come first served.
// It finishes work whose caller has gone.
type server struct {
	mu     sync.Mutex
	chance *rand.Rand
	free   []time.Time // when each worker is free
	takes  func(*rand.Rand) time.Duration
}

func newServer(workers int, takes func(*rand.Rand) time.Duration) *server {
	return &server{chance: rand.New(rand.NewPCG(1, 2)), free: make([]time.Time, workers), takes: takes}
}

func (s *server) call(ctx context.Context) (int, error) {
	return takes(s.enter())(ctx)
}

// enter puts a call in the queue, and returns how long it takes from now.
func (s *server) enter() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	soonest := 0
	for i := range s.free {
		if s.free[i].Before(s.free[soonest]) {
			soonest = i
		}
	}
	begin := time.Now()
	if s.free[soonest].After(begin) {
		begin = s.free[soonest]
	}
	s.free[soonest] = begin.Add(s.takes(s.chance))
	return time.Until(s.free[soonest])
}

func (s *server) slowTo(workers int, takes func(*rand.Rand) time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.takes = takes
	for len(s.free) < workers {
		s.free = append(s.free, time.Now())
	}
}

// always and about are service times; about varies by a tenth up and down.
func always(d time.Duration) func(*rand.Rand) time.Duration {
	return func(*rand.Rand) time.Duration { return d }
}

func about(d time.Duration) func(*rand.Rand) time.Duration {
	return func(r *rand.Rand) time.Duration { return time.Duration(float64(d) * (0.9 + 0.2*r.Float64())) }
}

func tailed(mean time.Duration) func(*rand.Rand) time.Duration {
	return func(r *rand.Rand) time.Duration { return time.Duration(float64(mean) * r.ExpFloat64()) }
}

// adapting is a guard with an objective of 400 ms: attempts are near it from 200 ms on,
// and late from 300 ms on.
func adapting(t *testing.T, limit, least, most int) *resilience.Guard {
	t.Helper()
	p := policy()
	p.Bulkhead = resilience.BulkheadPolicy{Limit: limit, Adaptive: &resilience.AdaptivePolicy{Objective: 400 * time.Millisecond, Min: least, Max: most}}
	return mustNew(t, p)
}

// press calls the guard from many callers at once for a while. A caller that is refused
// comes again after a moment. It returns how many answers came within the objective.
func press(t *testing.T, g *resilience.Guard, callers int, lasts time.Duration, call func(context.Context) (int, error)) (good int) {
	t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	end := time.Now().Add(lasts)
	for range callers {
		wg.Go(func() {
			for time.Now().Before(end) {
				begin := time.Now()
				_, err := resilience.Do(t.Context(), g, call)
				if err == nil && time.Since(begin) <= 400*time.Millisecond {
					mu.Lock()
					good++
					mu.Unlock()
				}
				if err != nil {
					time.Sleep(70 * time.Millisecond)
				}
			}
		})
	}
	wg.Wait()
	return good
}

// TestAdaptiveFindsTheKnee: under more load than a dependency can take, the limit ends
// near the number of its workers, or above it as far as the objective leaves room for a
// queue.
func TestAdaptiveFindsTheKnee(t *testing.T) {
	const ms = time.Millisecond
	for name, c := range map[string]struct {
		start, workers int
		takes          func(*rand.Rand) time.Duration
		low, high      int
	}{
		"quick, with room for a queue":          {20, 30, about(40 * ms), 30, 150},
		"starts low":                            {1, 30, about(40 * ms), 30, 150},
		"starts high":                           {150, 10, about(40 * ms), 10, 80},
		"tails do not shrink it":                {20, 30, tailed(100 * ms), 15, 90},
		"the service alone is near":             {20, 30, about(250 * ms), 25, 42},
		"the service alone is late":             {20, 30, about(350 * ms), 24, 36},
		"the service alone is late, from above": {150, 30, about(350 * ms), 20, 40},
		"near, and no queue":                    {20, 1000, always(250 * ms), 80, 150},
		"late, and no queue":                    {20, 1000, always(350 * ms), 60, 150},
		"nothing is answered in time":           {20, 30, about(600 * ms), 1, 5},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := adapting(t, c.start, 1, 150)
				press(t, g, 150, time.Minute, newServer(c.workers, c.takes).call)
				if got := g.Snapshot().Limit; got < c.low || got > c.high {
					t.Errorf("limit %d; want %d to %d", got, c.low, c.high)
				}
				wantIdle(t, g)
			})
		})
	}
}

// TestAdaptiveSeesAQueueThatSomeEscape: four in ten calls are answered from a cache, so
// that the fastest quarter never waits.
func TestAdaptiveSeesAQueueThatSomeEscape(t *testing.T) {
	for _, start := range []int{20, 150} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(30, about(200*time.Millisecond))
			g := adapting(t, start, 1, 150)
			var calls atomic.Int64
			press(t, g, 150, time.Minute, func(ctx context.Context) (int, error) {
				if calls.Add(1)%5 < 2 {
					return takes(5 * time.Millisecond)(ctx)
				}
				return s.call(ctx)
			})
			if got := g.Snapshot().Limit; got < 20 || got > 80 {
				t.Errorf("limit %d, from %d; want 20 to 80", got, start)
			}
		})
	}
}

// TestAdaptiveFollowsADependency that becomes slow, so that the service alone is late, and
// well again.
func TestAdaptiveFollowsADependency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(30, about(40*time.Millisecond))
		g := adapting(t, 20, 1, 150)
		press(t, g, 150, time.Minute, s.call)
		for range 2 {
			s.slowTo(30, about(320*time.Millisecond))
			press(t, g, 150, time.Minute, s.call)
			// 30 workers answer 94 calls a second, if none of them waits.
			if good := press(t, g, 150, time.Minute, s.call); good < 60*94*7/10 {
				t.Errorf("%d good answers in a minute of a slow dependency, at a limit of %d", good, g.Snapshot().Limit)
			}
			s.slowTo(30, about(40*time.Millisecond))
			if good := press(t, g, 150, time.Minute, s.call); good < 60*750*9/10 {
				t.Errorf("%d good answers in the minute after it, at a limit of %d", good, g.Snapshot().Limit)
			}
		}
	})
}

// TestAdaptiveStaysWithoutLoad: a limit that is not used does not move, whatever the times.
func TestAdaptiveStaysWithoutLoad(t *testing.T) {
	for name, call := range map[string]func(context.Context) (int, error){
		"quick":           takes(100 * time.Millisecond),
		"near":            takes(250 * time.Millisecond),
		"late":            takes(350 * time.Millisecond),
		"failing at once": fail,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := adapting(t, 50, 1, 250)
				press(t, g, 20, time.Minute, call)
				if got := g.Snapshot().Limit; got != 50 {
					t.Errorf("limit %d; want 50", got)
				}
			})
		})
	}
}

// TestAdaptiveShrinksWhenTold: marked refusals of the dependency lower the limit, by half
// of their share, down to the floor, which goes on to probe.
func TestAdaptiveShrinksWhenTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		overload := judged{resilience.Verdict{Outcome: resilience.Overload, Repeat: resilience.RepeatNever}}
		g := adapting(t, 50, 3, 100)
		press(t, g, 100, 10*time.Second, func(context.Context) (int, error) { return 0, errors.Join(errDown, overload) })
		if got := g.Snapshot().Limit; got != 3 {
			t.Fatalf("limit %d; want the floor, 3", got)
		}
		press(t, g, 150, 3*time.Second, takes(10*time.Millisecond))
		if got := g.Snapshot().Limit; got != 100 {
			t.Errorf("limit %d; want the ceiling, 100", got)
		}
	})
}

// TestAdaptiveInRandomScenes: against dependencies of any size and speed that are asked
// for twice what they can take, the limit gets at least half of the good answers that
// as many permits as workers get. The benchmark holds the law to more.
func TestAdaptiveInRandomScenes(t *testing.T) {
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 0))
		workers, mean := 2+r.IntN(30), time.Duration(20+r.IntN(330))*time.Millisecond
		service := []func(time.Duration) func(*rand.Rand) time.Duration{about, tailed, always}[r.IntN(3)]
		goodOf := func(t *testing.T, g *resilience.Guard) int {
			s := newServer(workers, service(mean))
			press(t, g, 200, 80*mean, s.call)
			return press(t, g, 200, 80*mean, s.call)
		}
		synctest.Test(t, func(t *testing.T) {
			p := policy()
			p.Bulkhead = resilience.BulkheadPolicy{Limit: workers}
			best := goodOf(t, mustNew(t, p))
			if g := adapting(t, 20, 1, 1000); goodOf(t, g) < best/2 {
				t.Errorf("seed %d: less than half of %d good answers; %d workers, mean %v, limit %d", seed, best, workers, mean, g.Snapshot().Limit)
			}
		})
	}
}
