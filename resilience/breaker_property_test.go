package resilience_test

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backstay-go/backstay/resilience"
	"pgregory.net/rapid"
)

// step is one operation of a property test: it begins a call, ends one, or lets
// time pass.
type step struct {
	kind  string // begin, end, pass
	which int    // which of the running calls ends
	how   string // ok, fail, ignored, answer
	d     time.Duration
}

func (s step) String() string {
	switch s.kind {
	case "end":
		return fmt.Sprintf("end %d %s", s.which, s.how)
	case "pass":
		return "pass " + s.d.String()
	}
	return s.kind
}

var steps = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
	return step{
		kind:  rapid.SampledFrom([]string{"begin", "begin", "begin", "end", "end", "end", "pass"}).Draw(t, "kind"),
		which: rapid.IntRange(0, 7).Draw(t, "which"),
		how:   rapid.SampledFrom([]string{"ok", "fail", "fail", "ignored", "answer"}).Draw(t, "how"),
		d:     rapid.SampledFrom([]time.Duration{time.Millisecond, 700 * time.Millisecond, time.Second, 3 * time.Second, 5 * time.Second, 11 * time.Second}).Draw(t, "d"),
	}
}), 1, 120)

const (
	modelLimit        = 5
	modelMinimum      = 3
	modelProbes       = 5
	modelProbeTimeout = 4 * time.Second
	modelOpen         = 5 * time.Second
	modelMostOpen     = 20 * time.Second
)

// model is a breaker and a bulkhead as one would write them without a thought for
// speed: every event is kept and counted again.
type model struct {
	now        time.Duration
	state      resilience.BreakerState
	stay       int // counts stays in a state
	until      time.Duration
	recoveries int
	good       int
	events     []modelEvent
	running    []*modelCall
}

type modelEvent struct {
	at  time.Duration
	bad bool
}

type modelCall struct {
	id    int
	stay  int
	probe bool
	since time.Duration
}

func (m *model) enter(s resilience.BreakerState) {
	m.state, m.good, m.events = s, 0, nil
	m.stay++
}

func (m *model) open() {
	period := modelOpen << m.recoveries
	m.until = m.now + min(period, modelMostOpen)
	m.enter(resilience.BreakerOpen)
}

func (m *model) probes() (n int) {
	for _, c := range m.running {
		if c.probe && c.stay == m.stay {
			n++
		}
	}
	return n
}

func (m *model) begin(id int) error {
	halfOpen := m.state == resilience.BreakerHalfOpen
	ramp := 1 << (bits.Len(uint(m.good+1)) - 1)
	if m.state == resilience.BreakerOpen || halfOpen && m.probes() >= ramp {
		return resilience.ErrOpen
	}
	if len(m.running) == modelLimit {
		return resilience.ErrFull
	}
	// gobreaker admits no more probes than are still to succeed.
	if halfOpen && m.probes()+m.good >= modelProbes {
		return resilience.ErrOpen
	}
	m.running = append(m.running, &modelCall{id: id, stay: m.stay, probe: halfOpen, since: m.now})
	return nil
}

func (m *model) end(c *modelCall, how string) {
	for i := range m.running {
		if m.running[i] == c {
			m.running = append(m.running[:i:i], m.running[i+1:]...)
			break
		}
	}
	m.report(c, how)
}

func (m *model) report(c *modelCall, how string) {
	switch {
	case c.stay != m.stay, how == "ignored", how == "answer" && m.state == resilience.BreakerClosed:
	case m.state == resilience.BreakerClosed:
		m.events = append(m.events, modelEvent{m.now, how == "fail"})
		calls, bad := m.count()
		if how == "fail" && calls >= modelMinimum && 2*bad >= calls {
			m.recoveries = 0
			m.open()
		}
	case how == "fail":
		m.recoveries = min(m.recoveries+1, 20)
		m.open()
	default:
		if m.good++; m.good == modelProbes {
			m.recoveries = 0
			m.enter(resilience.BreakerClosed)
		}
	}
}

// count recounts the window: ten parts of a second each.
func (m *model) count() (calls, bad int) {
	for _, e := range m.events {
		if e.at/time.Second > m.now/time.Second-10 {
			calls++
			if e.bad {
				bad++
			}
		}
	}
	return calls, bad
}

// pass lets time pass, with all that happens in it, in order.
func (m *model) pass(d time.Duration) {
	end := m.now + d
	for {
		next, what := end+1, func() {}
		if m.state == resilience.BreakerOpen && m.until < next {
			next, what = m.until, func() { m.enter(resilience.BreakerHalfOpen) }
		}
		for _, c := range m.running {
			if at := c.since + modelProbeTimeout; c.probe && c.stay == m.stay && at < next {
				next, what = at, func() { m.report(c, "fail") }
			}
		}
		if next > end {
			m.now = end
			return
		}
		m.now = next
		what()
	}
}

var (
	errIgnored = judged{resilience.Verdict{Outcome: resilience.Ignored}}
	// errAnswer is an answer that is Ignored: a probe that gets it has succeeded.
	errAnswer = judged{resilience.Verdict{Outcome: resilience.Ignored, Repeat: resilience.RepeatNever}}
)

// TestBreakerAndBulkheadAgreeWithTheModel drives both with the same steps and
// compares them after each: state, window counts, permits, and what each call got.
func TestBreakerAndBulkheadAgreeWithTheModel(t *testing.T) {
	curated := [][]step{
		// A probe that hangs, and reports after the circuit opened again.
		{{kind: "begin"}, {kind: "end", how: "fail"}, {kind: "begin"}, {kind: "end", how: "fail"}, {kind: "begin"}, {kind: "end", how: "fail"},
			{kind: "pass", d: 5 * time.Second}, {kind: "begin"}, {kind: "pass", d: 5 * time.Second}, {kind: "end", how: "ok"}, {kind: "pass", d: 11 * time.Second}, {kind: "begin"}, {kind: "end", how: "ok"}},
		// Ignored probes use nothing up.
		{{kind: "begin"}, {kind: "end", how: "fail"}, {kind: "begin"}, {kind: "end", how: "fail"}, {kind: "begin"}, {kind: "end", how: "fail"},
			{kind: "pass", d: 5 * time.Second}, {kind: "begin"}, {kind: "end", how: "ignored"}, {kind: "begin"}, {kind: "end", how: "ignored"}, {kind: "begin"}, {kind: "end", how: "ok"},
			{kind: "begin"}, {kind: "begin"}, {kind: "begin"}, {kind: "end", how: "ignored"}, {kind: "end", how: "ok"}},
	}
	for _, ops := range curated {
		if problem := againstModel(t, ops); problem != "" {
			t.Fatal(problem)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		if problem := againstModel(t, steps.Draw(rt, "steps")); problem != "" {
			rt.Fatal(problem)
		}
	})
}

func againstModel(t *testing.T, ops []step) (problem string) {
	synctest.Test(t, func(t *testing.T) {
		p := policy()
		p.Bulkhead.Limit = modelLimit
		p.Default.Timeout = 1000 * time.Hour
		p.Breaker = &resilience.BreakerPolicy{
			MinimumCalls: modelMinimum, Probes: modelProbes, ProbeTimeout: modelProbeTimeout, OpenFor: modelOpen, MaxOpenFor: modelMostOpen, Jitter: -1,
		}
		g := mustNew(t, p)
		type call struct {
			end  chan error
			done chan error
		}
		calls := map[int]call{}
		var m model
		var did []string
		for i, s := range ops {
			did = append(did, s.String())
			var got, want error
			switch s.kind {
			case "begin":
				want = m.begin(i)
				c := call{make(chan error), make(chan error, 1)}
				go func() {
					_, err := resilience.Do(context.WithoutCancel(t.Context()), g, func(context.Context) (int, error) { return 0, <-c.end })
					c.done <- err
				}()
				synctest.Wait()
				select {
				case got = <-c.done:
				default:
					calls[i] = c
				}
			case "end":
				if len(m.running) == 0 {
					continue
				}
				c := m.running[s.which%len(m.running)]
				want = map[string]error{"ok": nil, "fail": errDown, "ignored": errIgnored, "answer": errAnswer}[s.how]
				calls[c.id].end <- want
				got = <-calls[c.id].done
				delete(calls, c.id)
				m.end(c, s.how)
			case "pass":
				time.Sleep(s.d)
				m.pass(s.d)
			}
			synctest.Wait()
			n, bad := m.count()
			snap := g.Snapshot()
			if !errors.Is(got, want) || (got == nil) != (want == nil) || snap.Breaker != m.state || snap.InFlight != len(m.running) ||
				m.state == resilience.BreakerClosed && (snap.Calls != n || snap.Failures != bad) {
				problem = fmt.Sprintf("after %s\ngot %v, want %v\nmodel: %v, %d calls, %d bad, %d running\nguard: %+v", strings.Join(did, "; "), got, want, m.state, n, bad, len(m.running), snap)
				break
			}
		}
		for _, c := range calls {
			c.end <- nil
			<-c.done
		}
		if snap := g.Snapshot(); problem == "" && snap.InFlight != 0 {
			problem = fmt.Sprintf("%d permits leaked after %s", snap.InFlight, strings.Join(did, "; "))
		}
	})
	return problem
}
