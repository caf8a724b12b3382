package resilience

import (
	"math"
	"slices"
	"time"
)

// knee is the law by which an adaptive limit moves. It looks for the knee: the limit from
// which on a dependency answers no more calls, only later. It is decided round by round,
// without a clock:
//
//	quick: at most a tenth took half of the objective ──▶ the limit grows while it is used
//	almost no attempt was answered                    ──▶ a sixteenth, and start again from there
//	nothing was answered in time, for long            ──▶ half
//	else the limit is tried out: one step, one measurement, and the step is kept or taken back
//
// A step is judged by Little's law. If calls wait in the dependency, a change of the calls
// in flight changes the time of every attempt by the same part of the mean time. If it
// changed by less than half of that, there was no queue: a smaller limit gains nothing, a
// larger one costs nothing. The time that is compared is that of the fastest quarter of
// the attempts. It contains the whole wait, and little of the service times' variation.
//
// Not safe for concurrent use.
type knee struct {
	limit float64
	// base is the time of the fastest quarter without a queue. 0: unknown.
	base float64
	// late and near are the smoothed shares of the attempts that were late, or near it.
	late, near float64
	// room is the smoothed wait that would make a tenth of the good answers late.
	room float64
	// barren counts attempts since the last that was answered within the objective.
	barren int

	sum     measure // of the rounds at this limit
	rounds  int     // how many they are
	full    bool    // the limit was in use in the last round
	moved   bool    // the limit has changed after the last round
	trial   trial
	stride  float64 // by which the next step up raises the limit
	calm    int     // rounds without a step
	pause   int     // rounds between two steps
	upNext  bool
	reached float64 // the last good limit before a breakdown. 0: none
}

// measure is what a round showed, times in ns.
type measure struct {
	use      float64 // calls in flight
	fast     float64 // mean time of the fastest quarter of the attempts
	variance float64 // of fast
	mean     float64 // mean time of all attempts
	direct   int     // attempts that took next to no time, and cannot have waited
}

// trial is a step that is not judged yet.
type trial struct {
	step  step
	limit float64 // before the step
	measure
}

type step int8

const (
	noStep step = iota
	stepDown
	stepUp
)

// round is what an adaptive limit has seen. took is sorted.
type round struct {
	took   []float64 // of attempts with an answer, and of late ones without
	cut    int       // of those: without an answer
	marked int       // refused by the dependency; not in took
	use    float64   // mean of the calls in flight
	peak   int64     // most of them
}

const (
	// lateShare is the share of the attempts that may be late, or near the objective,
	// without consequence: service times vary, so some always are.
	lateShare = 0.1
	// If at least inUseShare of the limit was in use, a higher limit might be used too.
	// From fullShare on, on average, it was in use all the time.
	inUseShare, fullShare = 0.8, 0.85
	// brokenShare is the share of attempts without an answer that means breakdown.
	brokenShare = 0.8
	// A trial step down takes a tenth. Steps up begin at smallStride, and double.
	depth, smallStride = 0.1, 0.06
	// A wait of noticeable, as a part of the mean time, counts as a queue.
	noticeable = 0.03
	// roomShare is the part of the room that may be spent on waiting.
	roomShare = 0.2
	// firstPause and longestPause bound the rounds between two trial steps.
	firstPause, longestPause = 6, 16
	// A step down is measured for mostRounds at most, one up for mostRoundsUp.
	mostRounds, mostRoundsUp = 6, 3
	// certain is how many standard errors make a difference certain.
	certain = 1.5
	// longBarren is the fewest attempts without a good answer that lower the limit.
	longBarren = 128
)

func (k *knee) start(limit int) { *k = knee{limit: float64(limit), stride: 1, pause: 1} }

// size is how many attempts the next round counts.
func (k *knee) size() int {
	if k.stride == 1 {
		return max(16, min(int(k.limit/2), 32))
	}
	return max(32, min(int(k.limit), mostSamples))
}

// next returns the limit after a round.
func (k *knee) next(p *AdaptivePolicy, r round) int {
	before := int(k.limit)
	k.step(p, r)
	k.limit = min(max(k.limit, float64(p.Min)), float64(p.Max))
	if k.moved = int(k.limit) != before; k.moved {
		k.full = r.peak >= int64(k.limit) || k.trial.step == stepUp
		k.rounds, k.sum, k.calm = 0, measure{}, 0
	} else if k.trial.step != noStep && int(k.trial.limit) == before {
		k.trial.step, k.upNext = noStep, !k.upNext // a bound of the policy allowed no step
	}
	return int(k.limit)
}

func (k *knee) step(p *AdaptivePolicy, r round) {
	n := len(r.took)
	if marked := float64(r.marked) / float64(n+r.marked); marked > lateShare || n == 0 {
		k.limit = k.shrunk(1 - marked/2)
		k.forget()
		return
	}
	late, near, good, room := p.shares(r)
	m := measureOf(r.took)
	m.use = r.use
	k.smooth(late, near, room)
	k.barren += n
	if good > 0 {
		k.barren = 0
	}
	used := float64(r.peak) >= inUseShare*math.Floor(k.limit)
	settled := k.full
	k.full = r.use >= fullShare*math.Floor(k.limit)
	settled = settled && k.full
	switch {
	case k.barren > longBarren && k.barren > 8*int(k.limit):
		k.limit, k.barren = k.shrunk(0.5), 0
		k.forget()
	case float64(r.cut) > brokenShare*float64(n-m.direct):
		k.breakDown()
	case k.near <= lateShare:
		k.grow(m, used)
	case !settled:
		k.unsettled(m, used)
	default:
		k.weigh(m)
	}
}

// shares returns the shares of the attempts that were late or near it, the number of good
// answers, and the room.
func (p *AdaptivePolicy) shares(r round) (late, near float64, good int, room float64) {
	n := len(r.took)
	over := func(d time.Duration) int {
		i, _ := slices.BinarySearch(r.took, float64(d)+1)
		return n - i
	}
	late, near = float64(over(p.late()))/float64(n), float64(over(p.near()))/float64(n)
	good = n - over(p.Objective)
	if good >= 8 {
		room = float64(p.Objective) - r.took[int(0.9*float64(good))]
	}
	return late, near, good, room
}

func (k *knee) smooth(late, near, room float64) {
	if k.moved {
		k.late, k.near, k.room = late, near, room
	}
	k.late += (late - k.late) / 2
	k.near += (near - k.near) / 2
	k.room += (room - k.room) / 4
}

// measureOf measures sorted times. The variance of the mean of the fastest quarter is that
// of the times cut at the quarter, by the influence function. Attempts that took less than
// a twentieth of the mean time are not in the quarter: they come from somewhere else, such
// as a cache, and wait for nothing.
func measureOf(took []float64) measure {
	n := float64(len(took))
	var m measure
	for _, t := range took {
		m.mean += t / n
	}
	m.direct, _ = slices.BinarySearch(took, m.mean/20)
	took = took[m.direct:]
	n = float64(len(took))
	fastest := max(1, len(took)/4)
	var low, squares float64
	for i, t := range took {
		if i < fastest {
			m.fast += t / float64(fastest)
		}
		t = min(t, took[fastest-1])
		low += t / n
		squares += t * t / n
	}
	share := float64(fastest) / n
	m.variance = max(0, squares-low*low) / (share * share * n)
	return m
}

// forget begins anew after something that is no trial.
func (k *knee) forget() {
	k.trial.step, k.rounds, k.sum = noStep, 0, measure{}
}

func (k *knee) shrunk(by float64) float64 { return max(1, min(k.limit-1, k.limit*by)) }

// breakDown lets the dependency work off calls whose callers have gone.
func (k *knee) breakDown() {
	k.reached = 0
	if k.trial.step == stepUp {
		k.reached = k.trial.limit
	}
	k.forget()
	k.limit = max(1, min(k.limit-1, max(4, k.limit/16)))
	k.stride, k.pause, k.upNext, k.base = 1, 1, true, 0
}

// grow is for quick rounds.
func (k *knee) grow(m measure, used bool) {
	k.forget()
	k.stride, k.pause = 1, 1
	switch {
	case k.base == 0 || m.fast < k.base:
		k.base = m.fast
	case !k.full:
		k.base += (m.fast - k.base) / 16
	}
	switch {
	case !used:
	case m.fast-k.base < m.mean/4:
		k.limit += max(1, k.limit/2)
	default:
		k.limit += math.Sqrt(k.limit)
	}
}

// unsettled is for rounds in which the limit was not in use all the time, or not yet.
func (k *knee) unsettled(m measure, used bool) {
	k.forget()
	wait := m.fast - k.base
	late := k.late > lateShare
	switch {
	case k.full && late && wait > max(k.bearable(m), m.mean/4):
		k.limit = k.shrunk(max(0.5, 1-wait/m.mean))
	case k.full:
	case used && (!late || wait < k.bearable(m)):
		if k.calm++; k.calm > 2 {
			k.calm = 0
			k.limit += max(1, k.limit/20)
		}
	}
}

// bearable is the longest wait that costs few good answers.
func (k *knee) bearable(m measure) float64 { return max(noticeable*m.mean, roomShare*k.room) }

// weigh is for settled rounds that were not quick. It judges a trial, or begins one.
func (k *knee) weigh(m measure) {
	if k.rounds > 0 && math.Abs(m.fast-k.sum.fast/float64(k.rounds)) > 5*(math.Sqrt(k.sum.variance)/float64(k.rounds)+math.Sqrt(m.variance)) {
		k.forget() // the dependency is another one
	}
	k.rounds++
	k.sum.use += m.use
	k.sum.fast += m.fast
	k.sum.mean += m.mean
	k.sum.variance += m.variance
	n := float64(k.rounds)
	now := measure{use: k.sum.use / n, fast: k.sum.fast / n, mean: k.sum.mean / n, variance: k.sum.variance / n / n}
	switch k.trial.step {
	case stepDown:
		k.judgeDown(now)
	case stepUp:
		k.judgeUp(now)
	default:
		k.try(now)
	}
}

// judgeDown keeps a step down if attempts became quicker by half of what a queue explains.
func (k *knee) judgeDown(now measure) {
	t := k.trial
	gain, queue := t.fast-now.fast, t.mean*(1-now.use/t.use)
	if math.Abs(gain-queue/2) < certain*math.Sqrt(now.variance+t.variance) && k.rounds < mostRounds {
		return
	}
	k.trial.step = noStep
	if gain < queue/2 {
		k.base = now.fast
		k.pause, k.upNext = min(longestPause, 2*k.pause), true
		k.limit = max(k.limit, t.limit*(1-max(0, gain)/t.mean))
		return
	}
	k.base, k.pause = min(k.base, now.fast), firstPause
	k.down(now, min(max(0.5, k.limit/t.limit), 1-depth))
}

// judgeUp keeps a step up unless attempts became slower by half of what a queue explains,
// and the wait is not bearable.
func (k *knee) judgeUp(now measure) {
	t := k.trial
	loss, queue := now.fast-t.fast, now.mean*(1-t.use/now.use)
	waits := now.fast-k.base > k.bearable(now)
	if waits && math.Abs(loss-queue/2) < certain*math.Sqrt(now.variance+t.variance) && k.rounds < mostRoundsUp {
		return
	}
	k.trial.step = noStep
	if waits && loss > queue/2 {
		k.pause, k.upNext = min(longestPause, 2*k.pause), false
		if k.stride > smallStride {
			k.pause, k.upNext = 2, true
		}
		k.base, k.stride = min(k.base, t.fast), max(smallStride, k.stride/4)
		k.limit = max(t.limit, k.limit*(1-loss/now.mean))
		return
	}
	k.pause, k.stride = firstPause, min(1, 2*k.stride)
	k.up(now)
}

// try begins a trial: down if a queue shows, and otherwise up and down by turns.
func (k *knee) try(now measure) {
	if k.base == 0 || now.fast < k.base {
		k.base = now.fast
	}
	wait, late := now.fast-k.base, k.late > lateShare
	bearable := k.bearable(now)
	if late && wait > max(bearable, now.mean/k.limit/2) && wait-bearable > 2*math.Sqrt(now.variance) {
		k.down(now, max(0.5, 1-(wait-bearable/2)/now.mean))
		return
	}
	if k.calm++; k.calm < k.pause {
		return
	}
	k.calm = 0
	switch {
	case late && !k.upNext:
		k.down(now, 1-depth)
	case late || wait <= now.mean/5:
		k.up(now)
	}
}

func (k *knee) up(now measure) {
	k.trial = trial{step: stepUp, limit: k.limit, measure: now}
	to := k.limit + max(1, k.stride*k.limit)
	if k.reached > 0 && to > k.reached {
		k.stride = smallStride
		if k.limit < k.reached {
			to, k.reached = k.reached, 0
		} else {
			to = k.limit + max(1, k.stride*k.limit)
		}
	}
	k.limit = to
}

func (k *knee) down(now measure, by float64) {
	k.trial = trial{step: stepDown, limit: k.limit, measure: now}
	k.stride = smallStride
	k.limit = k.shrunk(by)
}
