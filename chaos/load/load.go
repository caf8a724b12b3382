package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// ErrConfig matches what Run refuses before it sends anything.
var ErrConfig = errors.New("load: invalid configuration")

// Config says how a schedule is played.
type Config struct {
	// Schedule is when each request is meant to start, in order, from the start of
	// the run. Required.
	Schedule []time.Duration
	// MaxInFlight bounds the requests that run at once, which protects the machine.
	// A request that finds no room waits, and the wait counts as falling behind.
	// Default: 4096.
	MaxInFlight int
	// MaxLag is how late a request may start. Default: 50 ms.
	MaxLag time.Duration
	// LagShare is the share of requests, in [0, 1), that may start later than
	// MaxLag before the run is void; it ends as soon as more have. Default: 0.01; a
	// negative value means none.
	LagShare float64
	_        struct{}
}

func (c Config) withDefaults() (Config, error) {
	var errs []error
	if len(c.Schedule) == 0 {
		errs = append(errs, fmt.Errorf("%w: the schedule is empty", ErrConfig))
	}
	for i := 1; i < len(c.Schedule); i++ {
		if c.Schedule[i] < c.Schedule[i-1] {
			errs = append(errs, fmt.Errorf("%w: the schedule is out of order at %d", ErrConfig, i))
			break
		}
	}
	if c.MaxInFlight < 0 {
		errs = append(errs, fmt.Errorf("%w: MaxInFlight is %d: give at least 1, or 0 for the default", ErrConfig, c.MaxInFlight))
	}
	if c.MaxLag < 0 {
		errs = append(errs, fmt.Errorf("%w: MaxLag is %s: give a duration above zero, or 0 for the default", ErrConfig, c.MaxLag))
	}
	if c.LagShare >= 1 {
		errs = append(errs, fmt.Errorf("%w: LagShare is %g: give a share below 1", ErrConfig, c.LagShare))
	}
	if c.MaxInFlight == 0 {
		c.MaxInFlight = 4096
	}
	if c.MaxLag == 0 {
		c.MaxLag = 50 * time.Millisecond
	}
	switch {
	case c.LagShare == 0:
		c.LagShare = 0.01
	case c.LagShare < 0:
		c.LagShare = 0
	}
	return c, errors.Join(errs...)
}

// Sample is one request as its client saw it. Times count from the run's start.
type Sample struct {
	// N is the request's place in the schedule, from 0.
	N int `json:"n"`
	// Intended is when it was meant to start, Sent when it did, Done when its
	// answer had come.
	Intended time.Duration `json:"intended_ns"`
	Sent     time.Duration `json:"sent_ns"`
	Done     time.Duration `json:"done_ns"`
	// ID names the request in plans and logs; Trace is the id of its trace, if one is
	// known.
	ID    string `json:"id,omitempty"`
	Trace string `json:"trace,omitempty"`
	// Kind is what was asked.
	Kind string `json:"kind"`
	// Outcome is the result, in one word.
	Outcome string `json:"outcome"`
	// Means is what the answer is worth to the client. Empty: not known.
	Means Meaning `json:"means,omitempty"`
	// Good says that the client got what it is owed.
	Good bool `json:"good"`
	// Detail tells more of what did not go well, for people.
	Detail string `json:"detail,omitempty"`
	// Sources says where the data came from that the answer was decided on.
	Sources map[string]string `json:"sources,omitempty"`
}

// Meaning is what an answer is worth to the client that asked.
type Meaning string

// The meanings.
const (
	// Right: what was asked for, on live data; also a no that the rules demand.
	Right Meaning = "right"
	// Stale: right as far as older data can tell, and the answer says so.
	Stale Meaning = "stale"
	// Provisional: carried out for now, to be confirmed or ended later, and the answer
	// says so.
	Provisional Meaning = "provisional"
	// Refused: not carried out, or not known to be; the answer says why and what to do.
	Refused Meaning = "refused"
	// Wrong: an answer that is not true, or none that a client can act on.
	Wrong Meaning = "wrong"
	// Late: it came after the request's deadline.
	Late Meaning = "late"
)

// Meanings are all of them, the best first.
func Meanings() []Meaning { return []Meaning{Right, Stale, Provisional, Refused, Wrong, Late} }

// Served says that the client got what it asked for, or as good.
func (m Meaning) Served() bool { return m == Right || m == Stale || m == Provisional }

// Latency counts from the intended start.
func (s Sample) Latency() time.Duration { return s.Done - s.Intended }

// Lag is how late the generator was.
func (s Sample) Lag() time.Duration { return s.Sent - s.Intended }

// Send makes one request and describes the result; Run fills in N and the times.
// It runs on its own goroutine. A panic in it ends the program, as it would
// in any goroutine; Goexit counts as an outcome "ended".
type Send func(ctx context.Context, n int) Sample

// Run is one play of a schedule. It is safe for concurrent use while it goes on.
type Run struct {
	cfg   Config
	start time.Time
	sent  atomic.Int64
	done  atomic.Int64

	mu      sync.Mutex
	samples []Sample
	ended   bool
}

// New checks the configuration.
func New(cfg Config) (*Run, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Run{cfg: cfg}, nil
}

// Progress says how many requests there are, were sent and have ended.
func (r *Run) Progress() (total, sent, done int) {
	return len(r.cfg.Schedule), int(r.sent.Load()), int(r.done.Load())
}

// Play sends every request at its time and returns when the last has ended, or,
// once the context ends, when those in flight have. It can be called once.
func (r *Run) Play(ctx context.Context, send Send) (Result, error) {
	r.mu.Lock()
	if !r.start.IsZero() {
		r.mu.Unlock()
		return Result{}, fmt.Errorf("%w: a run is played once; make a new one", ErrConfig)
	}
	r.start = time.Now()
	r.mu.Unlock()

	interrupted, behind := r.send(ctx, send)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	res := newResult(r.cfg, r.start, r.samples, interrupted)
	res.Abandoned = behind
	return res, nil
}

// send sends every request at its time, and returns when the last has ended. It stops
// sending when the context ends, or so many have started late that the run is void.
func (r *Run) send(ctx context.Context, send Send) (interrupted, behind bool) {
	room := make(chan struct{}, r.cfg.MaxInFlight)
	timer := time.NewTimer(0)
	defer timer.Stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	late := 0
	for n, at := range r.cfg.Schedule {
		timer.Reset(time.Until(r.start.Add(at)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return true, false
		}
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
			return true, false
		}
		sent := time.Since(r.start)
		wg.Go(func() {
			s := Sample{Outcome: "ended"}
			r.sent.Add(1)
			defer func() {
				s.N, s.Intended, s.Sent, s.Done = n, at, sent, time.Since(r.start)
				r.add(s)
				<-room
			}()
			s = send(ctx, n)
		})
		if sent-at > r.cfg.MaxLag {
			late++
		}
		if float64(late) > r.cfg.LagShare*float64(len(r.cfg.Schedule)) {
			return false, true
		}
	}
	return false, false
}

// Since returns the samples that ended after the first n did, for a live view.
func (r *Run) Since(n int) []Sample {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n >= len(r.samples) {
		return nil
	}
	return append([]Sample(nil), r.samples[n:]...)
}

// Started returns when the run began; the zero time before it did.
func (r *Run) Started() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.start
}

func (r *Run) add(s Sample) {
	r.mu.Lock()
	r.samples = append(r.samples, s)
	r.mu.Unlock()
	r.done.Add(1)
}
