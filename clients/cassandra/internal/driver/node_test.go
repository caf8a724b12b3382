package driver

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

type closer struct {
	closed int
	owed   time.Time
}

func (c *closer) Close() error          { c.closed++; return nil }
func (c *closer) Unanswered() time.Time { return c.owed }

// ask sends an attempt to a node and ends it: with an answer after some time, or
// with a failure.
func ask(n *Node, took time.Duration, f *Failure) {
	a := &Attempt{Call: &Call{}}
	a.Started(n)
	time.Sleep(took)
	if f == nil || f.Code >= 0 {
		a.Ended(n, true)
	}
	a.Left(f)
}

var timedOut = &Failure{Cause: TimedOut, Code: -1}

func TestASuspectsTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ns := NewNodes(Limits{Suspect: 2, SuspectFor: 500 * time.Millisecond})
		n := ns.Node("a", "dc1")
		repeatable, other := &Call{Repeatable: true}, &Call{}
		ask(n, time.Millisecond, timedOut)
		if n.Suspect() || ns.Steering() {
			t.Fatal("suspect after one of two failures")
		}
		ask(n, time.Millisecond, timedOut)
		if !n.Suspect() || !ns.Steering() || n.Try(repeatable) {
			t.Fatal("not suspect after two failures, or tried at once")
		}
		time.Sleep(500 * time.Millisecond)
		if n.Try(other) {
			t.Error("a call that can't be repeated took the first turn")
		}
		if !n.Try(repeatable) || n.Try(repeatable) {
			t.Error("not exactly one call may try")
		}
		time.Sleep(2 * time.Second)
		if !n.Try(other) {
			t.Error("nobody else came, and the call may not try")
		}
		ask(n, time.Millisecond, &Failure{Cause: ReadTimeout, Code: 0x1200})
		if n.Suspect() || ns.Steering() {
			t.Error("a coordinator that answers is well, whatever its replicas do")
		}
		ask(n, time.Millisecond, timedOut)
		ask(n, time.Millisecond, timedOut)
		ns.Forget("a")
		ask(n, time.Millisecond, timedOut)
		if ns.Steering() {
			t.Error("a node that has left is still steered around")
		}
	})
}

// TestAMuteNode: a node that leaves a request and a ping open is asked by pings alone,
// until it says something.
func TestAMuteNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ns := NewNodes(Limits{Suspect: 3, SuspectFor: 500 * time.Millisecond, Quiet: 200 * time.Millisecond})
		n, other := ns.Node("a", "dc1"), ns.Node("b", "dc1")
		start := func(n *Node) *Attempt {
			a := &Attempt{Call: &Call{Repeatable: true}}
			a.Started(n)
			return a
		}
		end := func(a *Attempt) { a.Ended(a.Node(), true); a.Left(nil) }
		answerPing := func(n *Node) {
			a := &Attempt{Call: &Call{Only: n}}
			a.Started(n)
			end(a)
		}
		doubtful := func(want ...*Node) {
			t.Helper()
			if got := ns.Doubtful(); !slices.Equal(got, want) {
				t.Fatalf("%d nodes are to be pinged, want %d", len(got), len(want))
			}
		}
		time.Sleep(time.Hour)
		doubtful() // nothing is owed
		slow := start(n)
		time.Sleep(99 * time.Millisecond)
		doubtful()
		time.Sleep(time.Millisecond)
		doubtful(n)
		answerPing(n) // the request is slow, the node is well
		time.Sleep(99 * time.Millisecond)
		doubtful()
		end(slow)
		time.Sleep(time.Hour)
		doubtful()

		lost := start(n)
		time.Sleep(150 * time.Millisecond)
		end(start(other))
		doubtful(n)
		ping := start(n)
		time.Sleep(99 * time.Millisecond)
		if doubtful(); n.Suspect() {
			t.Fatal("unresponsive before the ping had its time")
		}
		time.Sleep(time.Millisecond)
		if doubtful(); !n.Suspect() || !ns.Steering() {
			t.Fatal("not unresponsive though the ping was left open")
		}
		if time.Sleep(time.Hour); n.Try(lost.Call) {
			t.Fatal("a caller may try an unresponsive node")
		}
		doubtful(n)
		doubtful()
		n.Replace()
		for _, a := range []*Attempt{lost, ping} {
			a.Ended(n, false)
			a.Left(&Failure{Cause: Disconnected, Code: -1})
		}
		if time.Sleep(500 * time.Millisecond); !n.Suspect() {
			t.Fatal("well because its connections were closed")
		}
		doubtful(n)
		answerPing(n)
		if n.Suspect() || ns.Steering() {
			t.Fatal("suspect though it answered a ping")
		}
		doubtful()

		// A late answer ends the silence, and a caller may try.
		late := start(n)
		time.Sleep(100 * time.Millisecond)
		doubtful(n)
		late.Left(timedOut)
		time.Sleep(100 * time.Millisecond)
		doubtful()
		late.Ended(n, true)
		if time.Sleep(500 * time.Millisecond); !n.Suspect() || !n.Try(lost.Call) {
			t.Fatal("a node that has said something is not tried")
		}
		doubtful()
		end(start(n))

		// What answers pings and no callers is found out by these.
		for range 3 {
			ask(n, 50*time.Millisecond, timedOut)
			answerPing(n)
		}
		if !n.Suspect() {
			t.Fatal("pings made the node well for callers")
		}
	})
}

func TestCostFades(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ns := NewNodes(Limits{})
		slow, fast := ns.Node("a", ""), ns.Node("b", "")
		for range 20 {
			ask(slow, 80*time.Millisecond, nil)
			ask(fast, 10*time.Millisecond, nil)
		}
		if slow.Cost() <= fast.Cost() {
			t.Errorf("slow costs %d, fast %d", slow.Cost(), fast.Cost())
		}
		busy := &Attempt{Call: &Call{}}
		before := fast.Cost()
		busy.Started(fast)
		if fast.Cost() != 2*before {
			t.Errorf("a request in flight makes %d of %d", fast.Cost(), before)
		}
		busy.Ended(fast, true)
		for range 5 {
			time.Sleep(time.Second)
			ask(fast, 10*time.Millisecond, nil)
		}
		if slow.Cost() >= fast.Cost() {
			t.Errorf("after 5 s unasked the slow node still costs %d, the fast %d", slow.Cost(), fast.Cost())
		}
	})
}

func TestConnectionsAreReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ns := NewNodes(Limits{Orphans: 4, Connections: 2, Silence: time.Second})
		n := ns.Node("a", "dc1")
		c := &closer{}
		n.Opened(c)
		for range 8 {
			ask(n, time.Millisecond, timedOut)
		}
		if c.closed != 0 || n.State().Orphans != 8 {
			t.Fatalf("closed at the limit: %+v", n.State())
		}
		// What is waited for is answered first, and others go elsewhere.
		waited := &Attempt{Call: &Call{}}
		waited.Started(n)
		ask(n, time.Millisecond, timedOut)
		if ns.Renew(); c.closed != 0 || !n.Draining() || !ns.Steering() {
			t.Fatal("closed while somebody waits")
		}
		waited.Ended(n, true)
		waited.Left(nil)
		ns.Renew()
		if s := n.State(); c.closed != 1 || ns.Steering() || s.Replaced != 1 || s.Connections != 0 {
			t.Errorf("above the limit: %+v", s)
		}
		// Answers that come after all end it, and time does where they do not.
		n = ns.Node("c", "dc1")
		n.Opened(c)
		var lost []*Attempt
		for range 10 {
			a := &Attempt{Call: &Call{}}
			a.Started(n)
			lost = append(lost, a)
		}
		for _, a := range lost[1:] {
			a.Left(timedOut)
		}
		lost[1].Ended(n, true)
		if ns.Renew(); c.closed != 1 || n.Draining() {
			t.Fatal("draining though answers came")
		}
		again := &Attempt{Call: &Call{}}
		again.Started(n)
		again.Left(timedOut)
		time.Sleep(999 * time.Millisecond)
		if ns.Renew(); c.closed != 1 || !n.Draining() {
			t.Fatal("closed before its time")
		}
		time.Sleep(time.Millisecond)
		if ns.Renew(); c.closed != 2 || n.Draining() {
			t.Fatal("one request that is not answered keeps the connection for ever")
		}
		// A connection that answers nothing goes by itself.
		deaf, well := &closer{owed: time.Now()}, &closer{}
		n = ns.Node("d", "dc1")
		n.Opened(deaf)
		n.Opened(well)
		time.Sleep(time.Second + heartbeat - time.Millisecond)
		if ns.Renew(); deaf.closed != 0 {
			t.Fatal("a connection had no time to answer")
		}
		time.Sleep(time.Millisecond)
		if ns.Renew(); deaf.closed != 1 || well.closed != 0 || n.Connections() != 1 {
			t.Fatalf("a silent connection: %+v, %+v", deaf, well)
		}
		c.closed = 1
		// What is answered in between is no silence.
		n = ns.Node("b", "dc1")
		n.Opened(c)
		for range 4 {
			ask(n, 400*time.Millisecond, timedOut)
			ask(n, 400*time.Millisecond, nil)
		}
		if c.closed != 1 {
			t.Error("a node that answers some was taken for silent")
		}
		ask(n, 400*time.Millisecond, timedOut)
		ask(n, time.Second, timedOut)
		if c.closed != 2 {
			t.Error("a silent node keeps its connection")
		}
	})
}
