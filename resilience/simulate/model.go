package simulate

import (
	"cmp"
	"container/heap"
	"math"
	"slices"
	"sort"
	"time"

	"github.com/backstay-go/backstay/resilience"
	"github.com/backstay-go/backstay/resilience/record"
)

const (
	// nearest is the number of neighbouring attempts from which one is drawn.
	nearest = 20
	// scanned is how many attempts before and after a given one are searched for one that took
	// longer.
	scanned = 200
	// far is the distance in time beyond which the record says little about an attempt.
	far = 5 * time.Second
	// never is the duration of an attempt that the dependency never answers.
	never = time.Duration(math.MaxInt64)
)

// model simulates the dependency: it says what the dependency would have done for an attempt.
type model struct {
	seed        uint64
	calls       [][]sample // by call, in the order of its attempts
	operations  []string   // by call
	byOperation map[string][]sample
	all         []sample
	workers     *workers // nil: any load
	drawn       Drawn
}

// sample is an attempt of the record.
type sample struct {
	at      time.Duration // from the record's beginning
	took    time.Duration // the work alone, if there are workers
	after   time.Duration // what it asked for (Retry-After)
	outcome resilience.Outcome
	cut     bool
}

func newModel(calls []record.Call, o Options) *model {
	m := &model{seed: o.Seed, byOperation: map[string][]sample{}}
	type place struct{ call, attempt int }
	var order []place
	for i, c := range calls {
		samples := make([]sample, len(c.Attempts))
		for j, a := range c.Attempts {
			samples[j] = sample{at: c.Start + a.Start, took: a.Took, after: a.After, outcome: a.Outcome, cut: a.Cut}
			order = append(order, place{i, j})
		}
		m.calls = append(m.calls, samples)
		m.operations = append(m.operations, c.Operation)
		m.byOperation[c.Operation] = append(m.byOperation[c.Operation], samples...)
	}
	if o.Workers > 0 {
		slices.SortStableFunc(order, func(a, b place) int {
			return cmp.Compare(m.calls[a.call][a.attempt].at, m.calls[b.call][b.attempt].at)
		})
		before := newWorkers(o.Workers)
		clear(m.byOperation)
		for _, p := range order {
			s := &m.calls[p.call][p.attempt]
			s.took = before.workOf(s.at, s.at+s.took)
			m.byOperation[m.operations[p.call]] = append(m.byOperation[m.operations[p.call]], *s)
		}
		m.workers = newWorkers(o.Workers)
	}
	for name := range m.byOperation {
		slices.SortStableFunc(m.byOperation[name], func(a, b sample) int { return cmp.Compare(a.at, b.at) })
		m.all = append(m.all, m.byOperation[name]...)
	}
	slices.SortStableFunc(m.all, func(a, b sample) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.took, b.took), cmp.Compare(a.outcome, b.outcome))
	})
	return m
}

func (m *model) empty() bool { return len(m.all) == 0 }

// attempt returns what the dependency does for an attempt that begins now: how long it takes,
// and what it answers. The attempt is the one with the given number (from 1) of the call with
// index i.
func (m *model) attempt(o offer, i, number int, now time.Duration) sample {
	chance := hash(m.seed, uint64(i), uint64(number))
	var s sample
	if !o.extra && number <= len(m.calls[o.of]) {
		s = m.calls[o.of][number-1]
		m.drawn.Own++
	} else {
		s = m.near(o.Operation, now, chance)
	}
	if s.cut {
		s = m.continued(o.Operation, s, chance)
	}
	if m.workers != nil && s.took != never {
		s.took = m.workers.serve(now, s.took) - now
	}
	return s
}

func (m *model) samples(operation string) []sample {
	if s := m.byOperation[operation]; len(s) > 0 {
		return s
	}
	return m.all
}

// near draws one of the recorded attempts that are nearest in time.
func (m *model) near(operation string, now time.Duration, chance uint64) sample {
	samples := m.samples(operation)
	low := sort.Search(len(samples), func(i int) bool { return samples[i].at >= now })
	high := low
	for high-low < min(nearest, len(samples)) {
		if high == len(samples) || low > 0 && now-samples[low-1].at <= samples[high].at-now {
			low--
		} else {
			high++
		}
	}
	s := samples[low+int(chance%uint64(high-low))]
	if max(s.at-now, now-s.at) > far {
		m.drawn.Far++
	} else {
		m.drawn.Near++
	}
	return s
}

// continued returns how an attempt that was cut off in the record goes on: like a nearby
// attempt that took longer, or for ever if there is none.
func (m *model) continued(operation string, s sample, chance uint64) sample {
	samples := m.samples(operation)
	at := sort.Search(len(samples), func(i int) bool { return samples[i].at >= s.at })
	var longer []sample
	for d := range scanned {
		for _, i := range [...]int{at - 1 - d, at + d} {
			if i >= 0 && i < len(samples) && !samples[i].cut && samples[i].took > s.took && max(samples[i].at-s.at, s.at-samples[i].at) <= far {
				longer = append(longer, samples[i])
			}
		}
		if len(longer) >= nearest {
			break
		}
	}
	if len(longer) == 0 {
		m.drawn.Unanswered++
		return sample{took: never, outcome: resilience.Failure}
	}
	m.drawn.Continued++
	return longer[(chance>>32)%uint64(len(longer))]
}

// workers is a queue in front of a fixed number of workers. It serves work in the order of
// arrival. Each element is the time when one worker becomes free.
type workers []time.Duration

func newWorkers(n int) *workers {
	w := make(workers, n)
	return &w
}

// serve queues work that arrives now and returns the time when it is done.
func (w *workers) serve(now, work time.Duration) (done time.Duration) {
	done = max(now, (*w)[0]) + work
	(*w)[0] = done
	heap.Fix(w, 0)
	return done
}

// workOf returns how much work it was if it arrived at from and was done at to.
func (w *workers) workOf(from, to time.Duration) time.Duration {
	begun := max(from, (*w)[0])
	(*w)[0] = max(begun, to)
	heap.Fix(w, 0)
	return max(to-begun, 0)
}

// Len, Less, Swap, Push and Pop implement heap.Interface.
func (w *workers) Len() int           { return len(*w) }
func (w *workers) Less(i, j int) bool { return (*w)[i] < (*w)[j] }
func (w *workers) Swap(i, j int)      { (*w)[i], (*w)[j] = (*w)[j], (*w)[i] }
func (w *workers) Push(x any)         { *w = append(*w, x.(time.Duration)) }
func (w *workers) Pop() any {
	last := (*w)[len(*w)-1]
	*w = (*w)[:len(*w)-1]
	return last
}

// hash mixes a seed with the two numbers that identify a random choice, by the finalizer of
// SplitMix64.
func hash(seed, a, b uint64) uint64 {
	h := seed
	for _, v := range [...]uint64{a, b} {
		h += 0x9E3779B97F4A7C15 + v
		h = (h ^ h>>30) * 0xBF58476D1CE4E5B9
		h = (h ^ h>>27) * 0x94D049BB133111EB
		h ^= h >> 31
	}
	return h
}

// share turns a hash into a number in [0, 1).
func share(h uint64) float64 { return float64(h>>11) / (1 << 53) }
