package resilience

import (
	"container/heap"
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

// scene is a dependency and its traffic, drawn at random. The dependency finishes work
// whose caller has gone, and serves first come first.
type scene struct {
	seed, id  uint64
	workers   int
	mean      time.Duration // of the service time
	service   int           // index into services
	objective time.Duration
	patience  time.Duration // after which a caller goes
	load      float64       // arrivals in a usual phase, as a part of the capacity
	overload  float64       // the same in the overload
	slower    float64       // by which the service time grows in the slow phase
}

// services are the distributions of the service time, each with a mean of one.
var services = []struct {
	name string
	draw func(*rand.Rand) float64
}{
	{"even", func(r *rand.Rand) float64 { return 0.5 + r.Float64() }},
	{"exponential", (*rand.Rand).ExpFloat64},
	{"lognormal", func(r *rand.Rand) float64 { return math.Exp(r.NormFloat64() - 0.5) }},
	{"5 % tenfold", func(r *rand.Rand) float64 {
		draw := (0.5 + r.Float64()) / 1.45
		if r.Float64() < 0.05 {
			draw *= 10
		}
		return draw
	}},
}

// newScene draws the scene that belongs to a seed and a number.
func newScene(seed, id uint64) scene {
	r := rand.New(rand.NewPCG(seed, id))
	// between draws from a range evenly by the logarithm.
	between := func(low, high float64) float64 { return low * math.Pow(high/low, r.Float64()) }
	s := scene{seed: seed, id: id}
	s.workers = int(math.Round(between(4, 400)))
	s.mean = time.Duration(between(0.001, 1) * float64(time.Second))
	s.service = r.IntN(len(services))
	s.objective = time.Duration(between(3, 20) * float64(s.mean))
	s.overload = between(1.1, 8)
	s.slower = between(2, 8)
	s.load = 0.5 + 0.4*r.Float64()
	s.patience = time.Duration(between(1.5, 4) * float64(s.objective))
	return s
}

// phases are those of the goodput table, in objectives of the scene: a warm phase of 75
// objectives, or longer if fewer than 5000 requests would fit in.
func (s scene) phases() []phase {
	capacity := float64(s.workers) / s.mean.Seconds()
	unit := max(75*s.objective, time.Duration(5000/capacity*float64(time.Second)))
	return []phase{
		{"warm", unit, s.load * capacity, 1},
		{"overload", 2 * unit, s.overload * capacity, 1},
		{"rest", unit, s.load * capacity, 1},
		{"slow", 4 * unit, s.load * capacity, s.slower},
		{"recovered", unit, s.load * capacity, 1},
	}
}

// admission decides which requests of a scene go to the dependency. It is called with
// times that never decrease.
type admission interface {
	enter(at time.Duration) (*resilience.Permit, bool)
	leave(at time.Duration, p *resilience.Permit, err error)
}

// fixedLimit is a bulkhead without a guard, for the search of the best one.
type fixedLimit struct{ limit, inUse int }

func (f *fixedLimit) enter(time.Duration) (*resilience.Permit, bool) {
	if f.inUse >= f.limit {
		return nil, false
	}
	f.inUse++
	return nil, true
}

func (f *fixedLimit) leave(time.Duration, *resilience.Permit, error) { f.inUse-- }

// guarded is a guard, in the virtual time of a synctest bubble.
type guarded struct {
	guard *resilience.Guard
	ctx   context.Context
	began time.Time
}

func newGuarded(t *testing.T, s scene, b resilience.BulkheadPolicy) *guarded {
	g, err := resilience.New(resilience.Policy{Name: "dep", Bulkhead: b, Default: resilience.OperationPolicy{Timeout: s.patience}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close() })
	return &guarded{guard: g, ctx: t.Context(), began: time.Now()}
}

func (g *guarded) enter(at time.Duration) (*resilience.Permit, bool) {
	time.Sleep(at - time.Since(g.began))
	p, err := resilience.Acquire(g.ctx, g.guard)
	return p, err == nil
}

func (g *guarded) leave(at time.Duration, p *resilience.Permit, err error) {
	time.Sleep(at - time.Since(g.began))
	p.Done(err)
}

// run sends the scene's requests through an admission, and returns how many were answered
// within the objective, by the phase of their arrival. Every admission meets the same
// requests, each with the same amount of work.
func (s scene) run(a admission) []int {
	arrivals, work := rand.New(rand.NewPCG(s.seed, s.id<<8|1)), rand.New(rand.NewPCG(s.seed, s.id<<8|2))
	phases, draw := s.phases(), services[s.service].draw
	good := make([]int, len(phases))
	free := make(times, s.workers)
	var running attempts
	var at, end time.Duration
	for i, p := range phases {
		for end += p.lasts; ; {
			next := at + time.Duration(arrivals.ExpFloat64()/p.arrives*float64(time.Second))
			if next >= end {
				at = end // a Poisson process has no memory
				break
			}
			at = next
			running.leave(a, at)
			needs := draw(work)
			permit, ok := a.enter(at)
			if !ok {
				continue
			}
			begin := max(at, free[0])
			free[0] = begin + time.Duration(needs*slowerAt(phases, begin)*float64(s.mean))
			took := free[0] - at
			heap.Fix(&free, 0)
			if took <= s.objective {
				good[i]++
			}
			heap.Push(&running, attempt{ends: at + min(took, s.patience), permit: permit, cut: took > s.patience})
		}
	}
	running.leave(a, math.MaxInt64)
	return good
}

// slowerAt is by how much the dependency is slower at a time.
func slowerAt(phases []phase, at time.Duration) float64 {
	for _, p := range phases {
		if at -= p.lasts; at < 0 {
			return p.slower
		}
	}
	return 1
}

// attempt is a request that was admitted.
type attempt struct {
	ends   time.Duration
	permit *resilience.Permit
	cut    bool // its caller goes before the answer
}

// attempts is a heap by the time of the end.
type attempts []attempt

func (a attempts) Len() int           { return len(a) }
func (a attempts) Less(i, j int) bool { return a[i].ends < a[j].ends }
func (a attempts) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *attempts) Push(x any)        { *a = append(*a, x.(attempt)) }
func (a *attempts) Pop() any {
	last := len(*a) - 1
	x := (*a)[last]
	*a = (*a)[:last]
	return x
}

// leave ends all attempts that are over by the given time.
func (a *attempts) leave(on admission, by time.Duration) {
	for len(*a) > 0 && (*a)[0].ends <= by {
		x := heap.Pop(a).(attempt)
		var err error
		if x.cut {
			err = context.DeadlineExceeded
		}
		on.leave(x.ends, x.permit, err)
	}
}

// best is the most that a fixed limit reaches in each phase. The search takes steps of a
// quarter through all limits that can matter, and then small ones around the best.
func (s scene) best() []int {
	ran := map[int][]int{}
	try := func(limit float64) []int {
		l := max(1, int(math.Round(limit)))
		if ran[l] == nil {
			ran[l] = s.run(&fixedLimit{limit: l})
		}
		return ran[l]
	}
	good, at := make([]int, len(s.phases())), make([]float64, len(s.phases()))
	look := func(limit float64) {
		for i, n := range try(limit) {
			if n > good[i] {
				good[i], at[i] = n, limit
			}
		}
	}
	largest := 2 * float64(s.workers) * float64(s.objective) / float64(s.mean)
	for l := max(1, float64(s.workers)/4); l < 1.25*largest; l *= 1.25 {
		look(l)
	}
	for _, l := range slices.Clone(at) {
		for _, step := range []float64{0.86, 0.93, 1.07, 1.15} {
			look(l * step)
		}
	}
	return good
}
