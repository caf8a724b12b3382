package simulate

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/backstay-go/backstay/internal/quantile"
	"github.com/backstay-go/backstay/resilience"
	"github.com/backstay-go/backstay/resilience/record"
)

// Report is what a replay found. It is plain data. Durations are nanoseconds in JSON.
type Report struct {
	// Began is the record's beginning, Length the time until the last call's end on
	// either side.
	Began  time.Time     `json:"began"`
	Length time.Duration `json:"length"`
	// Width is the length of a bucket.
	Width   time.Duration `json:"width"`
	Seed    uint64        `json:"seed"`
	Workers int           `json:"workers,omitempty"`
	// Load is how many calls came for each one of the record, on average.
	Load float64 `json:"load"`
	// Dropped is how many calls are missing from the record: those that it reports itself,
	// and one for each line that can't be read.
	// Skipped counts the calls to dependencies without a policy.
	Dropped int64          `json:"dropped,omitempty"`
	Skipped map[string]int `json:"skipped,omitempty"`
	// Dependencies are sorted by name.
	Dependencies []Dependency `json:"dependencies"`
}

// Dependency compares what happened to the calls of one dependency with what would have
// happened.
type Dependency struct {
	Name     string `json:"name"`
	Recorded Side   `json:"recorded"`
	Replayed Side   `json:"replayed"`
	// Operations holds the same figures per operation, sorted by name.
	Operations []Operation `json:"operations"`
	// Changes counts the recorded calls whose outcome is another one in the replay, the most
	// frequent change first. Calls that Load adds or leaves out are not counted.
	Changes []Change `json:"changes,omitempty"`
	Drawn   Drawn    `json:"drawn"`
	// Breaker holds the states of the replayed breaker, Limits the moves of its
	// adaptive limit.
	Breaker []Span  `json:"breaker,omitempty"`
	Limits  []Limit `json:"limits,omitempty"`
	// Notes say which parts of the policy the replay can't show.
	Notes []string `json:"notes,omitempty"`
}

// Side holds the figures of one side of the comparison: recorded or replayed.
type Side struct {
	Calls int `json:"calls"`
	// Outcomes counts calls by their Outcome.
	Outcomes map[Outcome]int `json:"outcomes"`
	// Answered is how many calls had a value, whatever its source, or an answer that was
	// judged Ignored. InTime is how many of those had it from the dependency and in time.
	Answered int `json:"answered"`
	InTime   int `json:"in_time"`
	// Attempts is how many attempts were started. It includes Retries and Hedges. CutOff
	// counts the attempts that ran out of time, were cancelled, or were left behind.
	Attempts int `json:"attempts"`
	Retries  int `json:"retries"`
	Hedges   int `json:"hedges"`
	CutOff   int `json:"cut_off"`
	// Amplification is the number of attempts per call that made any.
	Amplification float64 `json:"amplification"`
	// PeakPerSecond is the highest number of attempts per second, measured over one bucket.
	// PeakRunning is the highest number of attempts that ran at once.
	PeakPerSecond float64 `json:"peak_per_second"`
	PeakRunning   int     `json:"peak_running"`
	// Latency is the latency of all calls, including refused ones.
	Latency Latency  `json:"latency"`
	Buckets []Bucket `json:"buckets"`
}

// Operation compares the outcomes of the calls of one operation.
type Operation struct {
	Name     string `json:"name"`
	Recorded Tally  `json:"recorded"`
	Replayed Tally  `json:"replayed"`
}

// Tally counts calls of one kind on one side, as Side does.
type Tally struct {
	Calls    int             `json:"calls"`
	Outcomes map[Outcome]int `json:"outcomes"`
	Answered int             `json:"answered"`
	Attempts int             `json:"attempts"`
}

// Latency holds quantiles.
type Latency struct {
	P50 time.Duration `json:"p50"`
	P90 time.Duration `json:"p90"`
	P99 time.Duration `json:"p99"`
	Max time.Duration `json:"max"`
}

// Bucket is an interval of time. Calls and attempts count in the bucket in which they started.
type Bucket struct {
	Calls    int             `json:"calls"`
	Outcomes map[Outcome]int `json:"outcomes,omitempty"`
	Attempts int             `json:"attempts"`
	Latency  Latency         `json:"latency"`
}

// Change is the number of calls that went from one outcome to another.
type Change struct {
	From  Outcome `json:"from"`
	To    Outcome `json:"to"`
	Calls int     `json:"calls"`
}

// Drawn counts where the replayed attempts got their behaviour from.
type Drawn struct {
	// Own attempts did what the same attempt of the same call did in the record. Near ones did
	// what another attempt within 5 s did. Far ones did what an attempt at another time did,
	// because there was none nearer.
	Own  int `json:"own"`
	Near int `json:"near"`
	Far  int `json:"far"`
	// Continued attempts were cut off in the record, and went on as longer ones did.
	// Unanswered ones had no longer attempt nearby. Both also count in one of the other
	// numbers.
	Continued  int `json:"continued"`
	Unanswered int `json:"unanswered"`
}

// Span is an interval during which the breaker stayed in one state.
type Span struct {
	From  time.Duration           `json:"from"`
	To    time.Duration           `json:"to"`
	State resilience.BreakerState `json:"state"`
}

// Limit is one change of the adaptive limit.
type Limit struct {
	At    time.Duration `json:"at"`
	Limit int           `json:"limit"`
}

// Outcome is how a call ended, as its caller saw it.
type Outcome string

// The outcomes say where the value came from or, if there was none, why.
const (
	Live   Outcome = "live"
	Hedged Outcome = "hedge"
	// Ignored: the dependency answered, and the answer was judged Ignored.
	Ignored     Outcome = "ignored"
	Cached      Outcome = "cache"
	Stale       Outcome = "stale"
	Static      Outcome = "static"
	Open        Outcome = "open"
	Full        Outcome = "full"
	RateLimited Outcome = "rate limited"
	Throttled   Outcome = "throttled"
	Closed      Outcome = "closed"
	TimedOut    Outcome = "timed out"
	Canceled    Outcome = "canceled"
	Failed      Outcome = "failed"
)

// outcomes is their order, from best to worst.
var outcomes = []Outcome{Live, Hedged, Ignored, Cached, Stale, Static, Open, Full, RateLimited, Throttled, Closed, TimedOut, Canceled, Failed}

var (
	bySource = map[resilience.Source]Outcome{resilience.Live: Live, resilience.Hedge: Hedged, resilience.Cache: Cached, resilience.Stale: Stale, resilience.Static: Static}
	byCause  = map[record.Cause]Outcome{record.Open: Open, record.Full: Full, record.RateLimited: RateLimited, record.Throttled: Throttled, record.Closed: Closed, record.Timeout: TimedOut, record.Canceled: Canceled, record.Failed: Failed, record.None: Failed}
)

// outcomeOf returns the outcome of a call.
func outcomeOf(c record.Call) Outcome {
	if c.Answered {
		return bySource[c.Source]
	}
	if n := len(c.Attempts); c.Cause == record.Failed && n > 0 && c.Attempts[n-1].Outcome == resilience.Ignored && !c.Attempts[n-1].Cut {
		return Ignored
	}
	return byCause[c.Cause]
}

const (
	// wantedBuckets is the highest number of buckets that a report should have.
	wantedBuckets = 120
	// leastWidth keeps rates meaningful: over a millisecond, the number of attempts per second
	// is chance.
	leastWidth = 100 * time.Millisecond
)

// widthFor returns a round width that divides the length into at most wantedBuckets.
func widthFor(length time.Duration) time.Duration {
	least := max(length/wantedBuckets, leastWidth)
	for power := leastWidth; ; power *= 10 {
		for _, m := range []time.Duration{1, 2, 5} {
			if m*power >= least || power > math.MaxInt64/100 {
				return m * power
			}
		}
	}
}

// summarise counts calls. They must be sorted by their start.
func (r *Report) summarise(calls []record.Call, within func(operation string) time.Duration) Side {
	s := Side{Calls: len(calls), Outcomes: map[Outcome]int{}, Buckets: make([]Bucket, int(r.Length/r.Width)+1)}
	bucket := func(at time.Duration) *Bucket { return &s.Buckets[min(int(at/r.Width), len(s.Buckets)-1)] }
	tried := 0
	var took []time.Duration
	latencies := make([][]time.Duration, len(s.Buckets))
	var edges []edge
	for _, c := range calls {
		outcome := outcomeOf(c)
		s.Outcomes[outcome]++
		b := bucket(c.Start)
		b.Calls++
		if b.Outcomes == nil {
			b.Outcomes = map[Outcome]int{}
		}
		b.Outcomes[outcome]++
		if answers(c, outcome) {
			s.Answered++
		}
		if (outcome == Live || outcome == Hedged || outcome == Ignored) && c.Took <= within(c.Operation) {
			s.InTime++
		}
		took = append(took, c.Took)
		i := min(int(c.Start/r.Width), len(s.Buckets)-1)
		latencies[i] = append(latencies[i], c.Took)
		if len(c.Attempts) > 0 {
			tried++
		}
		for i, a := range c.Attempts {
			s.Attempts++
			bucket(c.Start+a.Start).Attempts++
			switch {
			case a.Hedge:
				s.Hedges++
			case i > 0:
				s.Retries++
			}
			if a.Cut {
				s.CutOff++
			}
			edges = append(edges, edge{c.Start + a.Start, 1}, edge{c.Start + a.Start + a.Took, -1})
		}
	}
	if tried > 0 {
		s.Amplification = float64(s.Attempts) / float64(tried)
	}
	s.Latency = latencyOf(took)
	for i := range s.Buckets {
		s.Buckets[i].Latency = latencyOf(latencies[i])
		s.PeakPerSecond = max(s.PeakPerSecond, float64(s.Buckets[i].Attempts)/r.Width.Seconds())
	}
	s.PeakRunning = peak(edges)
	return s
}

func answers(c record.Call, o Outcome) bool { return c.Answered || o == Ignored }

// byOperation compares the outcomes of the calls of each operation.
func byOperation(before, after []record.Call) []Operation {
	found := map[string]*Operation{}
	for _, c := range before {
		if found[c.Operation] == nil {
			found[c.Operation] = &Operation{Name: c.Operation, Recorded: Tally{Outcomes: map[Outcome]int{}}, Replayed: Tally{Outcomes: map[Outcome]int{}}}
		}
		found[c.Operation].Recorded.add(c)
	}
	for _, c := range after {
		found[c.Operation].Replayed.add(c)
	}
	var list []Operation
	for _, name := range slices.Sorted(maps.Keys(found)) {
		list = append(list, *found[name])
	}
	return list
}

func (t *Tally) add(c record.Call) {
	o := outcomeOf(c)
	t.Calls++
	t.Outcomes[o]++
	t.Attempts += len(c.Attempts)
	if answers(c, o) {
		t.Answered++
	}
}

// edge is a moment when the number of running attempts changes.
type edge struct {
	at time.Duration
	by int
}

func peak(edges []edge) (most int) {
	slices.SortFunc(edges, func(a, b edge) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.by, b.by)) })
	running := 0
	for _, e := range edges {
		running += e.by
		most = max(most, running)
	}
	return most
}

// latencyOf sorts the times and returns their quantiles.
func latencyOf(took []time.Duration) Latency {
	slices.Sort(took)
	return Latency{P50: quantile.Of(took, 0.5), P90: quantile.Of(took, 0.9), P99: quantile.Of(took, 0.99), Max: quantile.Of(took, 1)}
}

// changes counts, for each pair of outcomes, how many calls went from one to the other.
func (p *player) changes() []Change {
	counts := map[[2]Outcome]int{}
	for i, o := range p.offers {
		if from, to := outcomeOf(p.calls[o.of]), outcomeOf(p.replayed[i]); from != to && !o.extra {
			counts[[2]Outcome{from, to}]++
		}
	}
	var list []Change
	for _, from := range outcomes {
		for _, to := range outcomes {
			if n := counts[[2]Outcome{from, to}]; n > 0 {
				list = append(list, Change{from, to, n})
			}
		}
	}
	slices.SortStableFunc(list, func(a, b Change) int { return cmp.Compare(b.Calls, a.Calls) })
	return list
}
