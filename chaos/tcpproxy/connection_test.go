package tcpproxy_test

import (
	"errors"
	"io"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/tcpproxy"
)

// TestConnectionsTellWhatWasDoneToEach: half of the connections hang, by their seed.
func TestConnectionsTellWhatWasDoneToEach(t *testing.T) {
	half := 0.5
	b := build(t, rule(chaos.Corrupt, func(r *chaos.Rule) { r.Often.Probability, r.What.Bytes = &half, 1 }))
	const n = 20
	hit := map[string]bool{}
	for range n {
		c := b.dial()
		got, err := b.echo(c, "text")
		if err != nil {
			t.Fatal(err)
		}
		hit[c.LocalAddr().String()] = got != "text"
	}
	// A byte is counted once it was passed on, when its echo may be there already.
	var all []tcpproxy.Connection
	b.eventually(func() bool {
		all = b.proxy.Connections()
		return !slices.ContainsFunc(all, func(c tcpproxy.Connection) bool { return c.Up != 4 || c.Down != 4 })
	})
	if len(all) != n {
		t.Fatalf("%d connections, want %d", len(all), n)
	}
	hits := 0
	for i, c := range all {
		harmed := len(c.Faults) > 0
		if was, ok := hit[c.Client]; !ok || was != harmed || c.Up != 4 || c.Down != 4 {
			t.Errorf("%+v; its client saw harm: %v", c, was)
		}
		if harmed {
			hits++
		}
		if i > 0 && c.Began.Before(all[i-1].Began) {
			t.Error("they are not in order")
		}
	}
	if hits == 0 || hits == n {
		t.Errorf("%d of %d were hit", hits, n)
	}
}

// TestAHalfOpenConnectionIsSilent: the peer is gone without a word, for good.
func TestAHalfOpenConnectionIsSilent(t *testing.T) {
	b := build(t)
	c := b.dial()
	b.mustEcho(c, "before")
	b.rules(rule(chaos.HalfOpen))
	if _, err := io.WriteString(c, "lost"); err != nil {
		t.Fatal(err)
	}
	<-b.reported
	if err := c.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%d bytes, %v: want silence", n, err)
	}
}

func TestASlowAcceptMakesTheFirstByteLate(t *testing.T) {
	const delay = 100 * time.Millisecond
	b := build(t, rule(chaos.SlowAccept, func(r *chaos.Rule) { r.What.Delay = delay }))
	began := time.Now()
	b.mustEcho(b.dial(), "late")
	if took := time.Since(began); took < delay {
		t.Errorf("took %s, less than %s", took, delay)
	}
	if e := <-b.reported; e.Kind != chaos.SlowAccept {
		t.Errorf("got %s", e.Kind)
	}
}

// TestAFaultBeginsWithTheConnectionsAge: each connection is reset when it is old enough.
func TestAFaultBeginsWithTheConnectionsAge(t *testing.T) {
	const age = 150 * time.Millisecond
	b := build(t, rule(chaos.Reset, func(r *chaos.Rule) { r.What.AfterUptime = age }))
	for range 2 {
		began := time.Now()
		c := b.dial()
		if _, err := io.ReadAll(c); err == nil {
			t.Error("it ended well; want a reset")
		}
		if lived := time.Since(began); lived < age {
			t.Errorf("it lived for %s, less than %s", lived, age)
		}
	}
}

// TestAResetTakesItsTime: its delay runs from its trigger. The bytes that trigger it never
// pass; without a trigger they do until it comes.
func TestAResetTakesItsTime(t *testing.T) {
	const delay = 100 * time.Millisecond
	for name, change := range map[string]func(*chaos.What){
		"bytes":        func(w *chaos.What) { w.AfterBytes = 4 },
		"upstream":     func(w *chaos.What) { w.Direction = chaos.Upstream },
		"both ways":    func(w *chaos.What) { w.Direction = chaos.Both },
		"without more": func(*chaos.What) {},
	} {
		t.Run(name, func(t *testing.T) {
			b := build(t)
			c := b.dial()
			b.mustEcho(c, "four")
			began := time.Now()
			b.rules(rule(chaos.Reset, func(r *chaos.Rule) { r.What.Delay = delay; change(&r.What) }))
			var ended error
			b.eventually(func() bool { // A connection hears of a new rule soon, not at once.
				_, ended = b.echo(c, "more")
				if name != "without more" && ended == nil && len(b.reported) > 0 {
					t.Error("bytes passed after the trigger")
				}
				return ended != nil || len(b.reported) > 0
			})
			if e := <-b.reported; e.Kind != chaos.Reset || e.Delay != delay {
				t.Errorf("got %+v", e)
			}
			if ended == nil {
				_, ended = io.ReadAll(c)
			}
			if !errors.Is(ended, syscall.ECONNRESET) {
				t.Errorf("%v, want a reset", ended)
			}
			if took := time.Since(began); took < delay {
				t.Errorf("reset after %s, less than %s", took, delay)
			}
		})
	}
}

// TestADelayEndsWithItsRule: it has no effect later, and the delay of a new rule starts over.
func TestADelayEndsWithItsRule(t *testing.T) {
	for _, kind := range []chaos.Kind{chaos.Reset, chaos.Blackhole} {
		t.Run(string(kind), func(t *testing.T) {
			b := build(t, rule(kind, func(r *chaos.Rule) { r.What.Delay = time.Hour }))
			c := b.dial()
			b.eventually(func() bool { return len(b.reported) > 0 })
			b.rules()
			b.eventually(func() bool { // What was swallowed is lost.
				if err := c.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
					t.Fatal(err)
				}
				got, err := b.echo(c, "after")
				return err == nil && got == "after"
			})
		})
	}
}

func TestASlowCloseHoldsTheEndBack(t *testing.T) {
	const delay = 100 * time.Millisecond
	b := build(t, rule(chaos.SlowClose, func(r *chaos.Rule) { r.What.Delay = delay }))
	c := b.dial()
	b.mustEcho(c, "text")
	began := time.Now()
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(c); err != nil || len(rest) != 0 {
		t.Errorf("%q, %v", rest, err)
	}
	if took := time.Since(began); took < delay {
		t.Errorf("the end came after %s, less than %s", took, delay)
	}
}
