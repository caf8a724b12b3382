package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// ErrConfig matches the errors of New.
var ErrConfig = errors.New("load: invalid configuration")

// Config says what is sent, and when.
type Config struct {
	// Schedule holds the time at which each request is meant to start, in order, counted from
	// the start of the run. Required.
	Schedule []time.Duration
	// MaxInFlight limits the requests that run at once, which protects the machine. A request
	// above the limit waits, and the generator counts as late by that time. Default: 0, which
	// means 4096.
	MaxInFlight int
	// MaxLag is how late a request may start. Default: 0, which means 50 ms.
	MaxLag time.Duration
	// LagShare is the share of requests, below 1, that may start later than MaxLag before the
	// run is void. A run ends as soon as it is void. Default: 0, which means 0.01. A negative
	// value means that no request may be late.
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

// Sample is one request as its client saw it. Times count from the start of the run.
type Sample struct {
	// N is the index of the request in the schedule, from 0.
	N int `json:"n"`
	// Intended is when the request was meant to start, Sent when it started, and Done when its
	// answer was complete.
	Intended time.Duration `json:"intended_ns"`
	Sent     time.Duration `json:"sent_ns"`
	Done     time.Duration `json:"done_ns"`
	// ID names the request in plans and logs. Trace is the id of its trace, if it is known.
	ID    string `json:"id,omitempty"`
	Trace string `json:"trace,omitempty"`
	// Kind is the kind of request.
	Kind string `json:"kind"`
	// Outcome is the result, in one word.
	Outcome string `json:"outcome"`
	// Means is the value of the answer to the client. Empty: not known.
	Means Meaning `json:"means,omitempty"`
	// Good says that the client got what it has a right to.
	Good bool `json:"good"`
	// Detail describes for people what did not go well.
	Detail string `json:"detail,omitempty"`
	// Sources says, by dependency, where the data came from on which the answer was decided.
	Sources map[string]string `json:"sources,omitempty"`
}

// Meaning is the value of an answer to the client that asked.
type Meaning string

// The meanings.
const (
	// Right: what was asked for, on live data. A refusal that the rules demand is right too.
	Right Meaning = "right"
	// Stale: right as far as older data can tell. The answer says that it rests on older data.
	Stale Meaning = "stale"
	// Provisional: carried out for now, and confirmed or ended later. The answer says so.
	Provisional Meaning = "provisional"
	// Refused: not carried out, or not known to be carried out. The answer says why, and what
	// to do.
	Refused Meaning = "refused"
	// Wrong: an answer that is not true, or an end that tells the client nothing to act on.
	Wrong Meaning = "wrong"
	// Late: the answer came after the request's deadline.
	Late Meaning = "late"
)

// Meanings returns all meanings, the best first.
func Meanings() []Meaning { return []Meaning{Right, Stale, Provisional, Refused, Wrong, Late} }

// Served reports whether the client got what it asked for, or something as good.
func (m Meaning) Served() bool { return m == Right || m == Stale || m == Provisional }

// Latency returns the time from the intended start to the end of the answer.
func (s Sample) Latency() time.Duration { return s.Done - s.Intended }

// Lag returns how late the generator started the request.
func (s Sample) Lag() time.Duration { return s.Sent - s.Intended }

// Send makes one request and describes the result. Run fills in N and the times. Each call
// runs on a separate goroutine. A panic in it ends the program, as in any goroutine. Goexit
// counts as the outcome "ended".
type Send func(ctx context.Context, n int) Sample

// Run is one execution of a schedule. It is safe for concurrent use while Play runs.
type Run struct {
	cfg   Config
	start time.Time
	sent  atomic.Int64
	done  atomic.Int64

	mu      sync.Mutex
	samples []Sample
	ended   bool
}

// New checks the configuration and returns a run that has not started.
func New(cfg Config) (*Run, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Run{cfg: cfg}, nil
}

// Progress returns how many requests there are, how many were sent, and how many have ended.
func (r *Run) Progress() (total, sent, done int) {
	return len(r.cfg.Schedule), int(r.sent.Load()), int(r.done.Load())
}

// Play sends every request at its time, and returns when the last has ended. If the context
// ends before, it returns when the requests in flight have ended. It can be called once.
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

// send sends every request at its time, and returns when the last has ended. It stops sending
// when the context ends, or when so many requests have started late that the run is void.
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

// Started returns when the run began, or the zero time if it has not begun.
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
