package tcpproxy_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/internal/tcptest"
	"github.com/backstay-go/backstay/chaos/tcpproxy"
)

// holding are the faults that hold bytes back for longer than a test lasts.
var holding = map[string]func(*chaos.What){
	"latency":         func(w *chaos.What) { w.Kind, w.Delay = chaos.Latency, time.Hour },
	"latency, jitter": func(w *chaos.What) { w.Kind, w.Delay, w.Jitter = chaos.Latency, time.Hour, time.Minute },
	"bandwidth":       func(w *chaos.What) { w.Kind, w.BytesPerS = chaos.Bandwidth, 1 },
	"slice":           func(w *chaos.What) { w.Kind, w.ChunkBytes, w.Delay = chaos.Slice, 1, time.Hour },
	"hang":            func(w *chaos.What) { w.Kind = chaos.Hang },
	"reset":           func(w *chaos.What) { w.Kind, w.AfterBytes, w.Delay = chaos.Reset, 1, time.Hour },
}

// endings are the ways in which a rule ends or stops to hold; the window is what the rule
// is given at the start.
var endings = map[string]struct {
	window func(*chaos.Rule)
	end    func(b *bench, r chaos.Rule)
}{
	"removed": {nil, func(b *bench, _ chaos.Rule) { b.rules() }},
	"window":  {func(r *chaos.Rule) { r.When.To = 300 * time.Millisecond }, nil},
	"ttl":     {func(r *chaos.Rule) { r.TTL = 300 * time.Millisecond }, nil},
	"stopped": {nil, func(b *bench, _ chaos.Rule) { b.injector.Stop() }},
	"no longer likely": {nil, func(b *bench, r chaos.Rule) {
		never := 0.0
		r.Often.Probability = &never
		b.rules(r)
	}},
	"changed to nearly nothing": {nil, func(b *bench, r chaos.Rule) {
		switch w := &r.What; w.Kind {
		case chaos.Latency, chaos.Slice:
			w.Delay, w.Jitter = time.Millisecond, 0
		case chaos.Bandwidth:
			w.BytesPerS = 1 << 30
		default:
			w.Kind, w.Delay, w.AfterBytes = chaos.Latency, time.Millisecond, 0
		}
		b.rules(r)
	}},
}

// TestWhatHasEndedHoldsNothing: bytes that a fault held come at once, in order and without
// loss, when its rule ends in whatever way.
func TestWhatHasEndedHoldsNothing(t *testing.T) {
	for kind, what := range holding {
		for _, direction := range []string{chaos.Upstream, chaos.Downstream, chaos.Both} {
			for name, way := range endings {
				t.Run(kind+"/"+direction+"/"+name, func(t *testing.T) {
					t.Parallel()
					r := chaos.Rule{Name: "r", Where: chaos.Where{Dependency: "echo"}, What: chaos.What{Direction: direction}}
					what(&r.What)
					if way.window != nil {
						way.window(&r)
					}
					b := build(t, r)
					c := b.dial()
					sent := bytes.Repeat([]byte("held "), 200)
					if _, err := c.Write(sent[:500]); err != nil {
						t.Fatal(err)
					}
					<-b.reported
					if _, err := c.Write(sent[500:]); err != nil {
						t.Fatal(err)
					}
					if way.end != nil {
						way.end(b, r)
					}
					got := make([]byte, len(sent))
					if n, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, sent) {
						t.Errorf("%d of %d bytes came, %v", n, len(sent), err)
					}
				})
			}
		}
	}
}

// TestAHeldEndComesWhenItsFaultEnds: the end of a direction, too, and a connection that is
// accepted slowly.
func TestAHeldEndComesWhenItsFaultEnds(t *testing.T) {
	for _, kind := range []chaos.Kind{chaos.SlowClose, chaos.Hang, chaos.HalfOpen, chaos.SlowAccept} {
		for name, way := range endings {
			if name == "changed to nearly nothing" && kind != chaos.SlowClose {
				continue
			}
			t.Run(string(kind)+"/"+name, func(t *testing.T) {
				t.Parallel()
				r := rule(kind, func(r *chaos.Rule) {
					if kind == chaos.SlowClose || kind == chaos.SlowAccept {
						r.What.Delay = time.Hour
					}
				})
				if way.window != nil {
					way.window(&r)
				}
				b := build(t, r)
				c := b.dial()
				if err := c.CloseWrite(); err != nil {
					t.Fatal(err)
				}
				<-b.reported
				if name == "changed to nearly nothing" {
					r.What.Delay = time.Millisecond
					b.rules(r)
				} else if way.end != nil {
					way.end(b, r)
				}
				if rest, err := io.ReadAll(c); err != nil || len(rest) != 0 {
					t.Errorf("%q, %v; want the end", rest, err)
				}
			})
		}
	}
}

// TestALimitCountsFromItsBeginning: what passed before a rule began is not counted, nor what
// passed under one that was removed.
func TestALimitCountsFromItsBeginning(t *testing.T) {
	b := build(t)
	c := b.dial()
	b.mustEcho(c, "0123456789")
	limit := func(from time.Duration) chaos.Rule {
		return rule(chaos.Truncate, func(r *chaos.Rule) { r.What.Bytes, r.When.From = 8, from })
	}
	b.rules(limit(0))
	b.mustEcho(c, "01234")
	b.rules(limit(b.injector.Elapsed()))
	b.mustEcho(c, "01234")
	if got, err := b.echo(c, "56789"); got != "567" || err == nil {
		t.Errorf("%q, %v; want the three bytes that were left", got, err)
	}
}

// TestALowBandwidthTrickles: something comes early on at each rate, and the mean is exact.
func TestALowBandwidthTrickles(t *testing.T) {
	for _, perSecond := range []int64{20, 1000, 10_000, 1_000_000} {
		t.Run(time.Duration(perSecond).String(), func(t *testing.T) {
			t.Parallel()
			b := build(t, rule(chaos.Bandwidth, func(r *chaos.Rule) { r.What.BytesPerS = perSecond }))
			c := b.dial()
			sent := make([]byte, perSecond) // a second's worth, in one piece
			began := time.Now()
			go func() { _, _ = c.Write(sent) }()
			reads, got, buf := 0, int64(0), make([]byte, 1<<20)
			for got < perSecond {
				n, err := c.Read(buf)
				if err != nil {
					t.Fatal(err)
				}
				if reads++; int64(n) > max(1, perSecond/10)*2 && time.Since(began) < 500*time.Millisecond {
					t.Errorf("%d bytes came at once", n)
				}
				if got += int64(n); time.Since(began).Seconds() < float64(got)/float64(perSecond)-0.001 {
					t.Errorf("%d bytes came within %s", got, time.Since(began))
				}
			}
			if reads < 5 {
				t.Errorf("they came in %d pieces", reads)
			}
		})
	}
}

// TestSeveralWaitsActTogether: slices of bytes that have little bandwidth, after a latency.
func TestSeveralWaitsActTogether(t *testing.T) {
	b := build(t, rule(chaos.Latency, func(r *chaos.Rule) { r.What.Delay = 100 * time.Millisecond }),
		rule(chaos.Bandwidth, func(r *chaos.Rule) { r.What.BytesPerS = 100 }),
		rule(chaos.Slice, func(r *chaos.Rule) { r.What.ChunkBytes = 4 }))
	c := b.dial()
	began := time.Now()
	b.mustEcho(c, "0123456789012345678901234567890123456789")
	if took := time.Since(began); took < 500*time.Millisecond {
		t.Errorf("it took %s: less than a latency of 100 ms, and 40 bytes at 100 per second", took)
	}
}

// TestAnAnswerArrivesThoughTheUpstreamHasGone: the upstream answers early, closes, and resets
// when the client goes on to send.
func TestAnAnswerArrivesThoughTheUpstreamHasGone(t *testing.T) {
	const answer = "413 too large"
	for _, delay := range []time.Duration{0, 300 * time.Millisecond} {
		upstream := tcptest.Serve(t, func(c net.Conn) {
			_, _ = c.Read(make([]byte, 1))
			_, _ = io.WriteString(c, answer)
			_ = c.(*net.TCPConn).CloseWrite()
		})
		plan := chaos.Plan{}
		if delay > 0 {
			plan.Rules = []chaos.Rule{rule(chaos.Latency, func(r *chaos.Rule) { r.What.Delay = delay })}
		}
		injector, err := chaos.New(plan, chaos.Config{})
		if err != nil {
			t.Fatal(err)
		}
		injector.Start()
		p, err := tcpproxy.Start(t.Context(), tcpproxy.Config{Dependency: "echo", Upstream: upstream, Injector: injector})
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp", p.Addr())
		if err != nil {
			t.Fatal(err)
		}
		if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			for {
				if _, err := c.Write(make([]byte, 1<<10)); err != nil {
					return
				}
			}
		}()
		got := make([]byte, len(answer))
		if n, err := io.ReadFull(c, got); err != nil {
			t.Errorf("delay %s: %q, %v", delay, got[:n], err)
		}
		<-sent // with a reset
		if err := errors.Join(c.Close(), p.Close()); err != nil {
			t.Error(err)
		}
		injector.Stop()
	}
}

// TestWhatAClientSentArrivesThoughItHasGone is the same the other way.
func TestWhatAClientSentArrivesThoughItHasGone(t *testing.T) {
	got := make(chan string, 1)
	upstream := tcptest.Serve(t, func(c net.Conn) {
		b, err := io.ReadAll(c)
		if !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the upstream sees %v, want a reset", err)
		}
		got <- string(b)
	})
	injector, err := chaos.New(chaos.Plan{Rules: []chaos.Rule{rule(chaos.Latency, func(r *chaos.Rule) { r.What.Delay, r.What.Direction = 200*time.Millisecond, chaos.Upstream })}}, chaos.Config{})
	if err != nil {
		t.Fatal(err)
	}
	injector.Start()
	defer injector.Stop()
	p, err := tcpproxy.Start(t.Context(), tcpproxy.Config{Dependency: "echo", Upstream: upstream, Injector: injector})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "an order"); err != nil {
		t.Fatal(err)
	}
	for p.Stats().CameUp == 0 {
		select {
		case <-t.Context().Done():
			t.Fatal("nothing came")
		case <-time.After(time.Millisecond):
		}
	}
	if err := errors.Join(c.(*net.TCPConn).SetLinger(0), c.Close()); err != nil {
		t.Fatal(err)
	}
	if text := <-got; text != "an order" {
		t.Errorf("the upstream got %q", text)
	}
}

// TestLatencyIsNoLimitOfThroughput: as much is under way as a fast line carries in the time.
func TestLatencyIsNoLimitOfThroughput(t *testing.T) {
	const bytes, delay = 20 << 20, 2 * time.Second
	b := build(t, rule(chaos.Latency, func(r *chaos.Rule) { r.What.Delay = delay }))
	c := b.dial()
	began := time.Now()
	go func() { _, _ = c.Write(make([]byte, bytes)) }()
	if _, err := io.CopyN(io.Discard, c, bytes); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 3*delay {
		t.Errorf("20 MiB took %s with a latency of %s: it was paid several times", took, delay)
	}
}

// TestALimitOfConnections: one too many is reset, and there is room again when one has ended.
func TestALimitOfConnections(t *testing.T) {
	b := build(t, rule(chaos.ConnectionLimit, func(r *chaos.Rule) { r.What.Limit = 2 }))
	first, second := b.dial(), b.dial()
	b.mustEcho(first, "one")
	b.mustEcho(second, "two")
	if err := tried(b.proxy.Addr()); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a third connection: %v, want a reset", err)
	}
	first.Close()
	b.eventually(func() bool { return b.proxy.Stats().Open == 1 })
	b.mustEcho(b.dial(), "three")
}
