package tcpproxy_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/internal/tcptest"
	"github.com/backstay-go/backstay/chaos/tcpproxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is an echo server behind a proxy, and a plan to change.
type bench struct {
	t        *testing.T
	proxy    *tcpproxy.Proxy
	injector *chaos.Injector
	reported chan chaos.Event
}

func build(t *testing.T, rules ...chaos.Rule) *bench {
	t.Helper()
	upstream := tcptest.Serve(t, tcptest.Echo)
	b := &bench{t: t, reported: make(chan chaos.Event, 10_000)}
	var err error
	b.injector, err = chaos.New(chaos.Plan{Seed: 1, Rules: rules}, chaos.Config{Listeners: []chaos.Listener{
		chaos.ListenerFunc(func(_ context.Context, e chaos.Event) { b.reported <- e })}})
	if err != nil {
		t.Fatal(err)
	}
	b.injector.Start()
	b.proxy, err = tcpproxy.Start(t.Context(), tcpproxy.Config{Dependency: "echo", Upstream: upstream, Injector: b.injector})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.proxy.Close(); err != nil {
			t.Error(err)
		}
		b.injector.Stop()
	})
	return b
}

func (b *bench) rules(rules ...chaos.Rule) {
	b.t.Helper()
	if err := b.injector.Update(chaos.Plan{Seed: 1, Rules: rules}); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) dial() *net.TCPConn {
	b.t.Helper()
	c, err := net.Dial("tcp", b.proxy.Addr())
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		b.t.Fatal(err)
	}
	return c.(*net.TCPConn)
}

// echo sends and reads back.
func (b *bench) echo(c net.Conn, text string) (string, error) {
	if _, err := io.WriteString(c, text); err != nil {
		return "", err
	}
	got := make([]byte, len(text))
	n, err := io.ReadFull(c, got)
	return string(got[:n]), err
}

// eventually waits for a condition.
func (b *bench) eventually(cond func() bool) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-ctx.Done():
			b.t.Fatal("not within a minute")
		case <-tick.C:
		}
	}
}

func (b *bench) mustEcho(c net.Conn, text string) {
	b.t.Helper()
	if got, err := b.echo(c, text); err != nil || got != text {
		b.t.Fatalf("echo of %q: %q, %v", text, got, err)
	}
}

// tried dials and reads: a reset may be seen by either.
func tried(addr string) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = io.ReadAll(c)
	return err
}

func rule(kind chaos.Kind, change ...func(*chaos.Rule)) chaos.Rule {
	r := chaos.Rule{Name: string(kind), Where: chaos.Where{Dependency: "echo"}, What: chaos.What{Kind: kind}}
	for _, c := range change {
		c(&r)
	}
	return r
}

func TestBytesPassAsTheyAre(t *testing.T) {
	b := build(t)
	c := b.dial()
	sent := bytes.Repeat([]byte("backstay "), 200_000)
	go func() {
		_, _ = c.Write(sent)
		_ = c.CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("%d of %d bytes came back, %v", len(got), len(sent), err)
	}
	if s := b.proxy.Stats(); s.Up != int64(len(sent)) || s.Down != int64(len(sent)) || s.Accepted != 1 {
		t.Errorf("stats %+v", s)
	}
}

// TestNoByteMeetsAPlanThatWasReplaced: once the plan is set, the next byte meets it, however
// long a connection's goroutines take to look.
func TestNoByteMeetsAPlanThatWasReplaced(t *testing.T) {
	b := build(t)
	c := b.dial()
	for range 200 {
		b.mustEcho(b.dial(), "they look too")
	}
	for i := range 30 {
		hang := rule(chaos.Hang)
		hang.Name = strconv.Itoa(i) // a rule is reported once per connection
		b.rules(hang)
		if _, err := c.Write([]byte("late")); err != nil {
			t.Fatal(err)
		}
		select {
		case <-b.reported:
		case <-time.After(30 * time.Second):
			t.Fatalf("%d: nothing hangs", i)
		}
		b.rules()
		got := make([]byte, 4)
		if _, err := io.ReadFull(c, got); err != nil || string(got) != "late" {
			t.Fatalf("%q, %v", got, err)
		}
	}
}

func TestAHungConnectionGoesOnWithoutLoss(t *testing.T) {
	b := build(t)
	c := b.dial()
	b.mustEcho(c, "before")
	b.rules(rule(chaos.Hang))
	var through atomic.Bool
	done := make(chan string)
	go func() {
		got, err := b.echo(c, "during")
		through.Store(true)
		if err != nil {
			got = err.Error()
		}
		done <- got
	}()
	if e := <-b.reported; e.Kind != chaos.Hang || e.Call.Dependency != "echo" {
		t.Errorf("got %+v", e)
	}
	if through.Load() {
		t.Error("bytes passed while the connection hung")
	}
	b.rules()
	if got := <-done; got != "during" {
		t.Errorf("after the hang: %q", got)
	}
	b.mustEcho(c, "after")
}

func TestResetsAreReal(t *testing.T) {
	b := build(t)
	c := b.dial()
	b.mustEcho(c, "before")
	b.rules(rule(chaos.Reset))
	if _, err := io.ReadAll(c); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a live connection: %v, want a reset", err)
	}
	b.rules(rule(chaos.Down))
	if err := tried(b.proxy.Addr()); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a new connection while down: %v, want a reset", err)
	}
	b.rules()
	b.mustEcho(b.dial(), "again")
}

func TestAResetAfterBytes(t *testing.T) {
	b := build(t, rule(chaos.Reset, func(r *chaos.Rule) { r.What.AfterBytes = 4 }))
	c := b.dial()
	b.mustEcho(c, "four")
	if _, err := b.echo(c, "more"); err == nil {
		t.Error("bytes passed after the fourth")
	}
}

func TestLatencyDelaysEachChunkOnce(t *testing.T) {
	t.Parallel() // it takes as long as its delay
	const delay = 4 * time.Second
	b := build(t, rule(chaos.Latency, func(r *chaos.Rule) { r.What.Delay = delay }))
	c := b.dial()
	// The chunks are under way at once, or this would take a delay for each of at least
	// ten, and the deadline of the connection would end it.
	if err := c.SetDeadline(time.Now().Add(9 * delay)); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	sent := bytes.Repeat([]byte("y"), 10*256<<10)
	go func() { _, _ = c.Write(sent) }()
	if n, err := io.ReadFull(c, make([]byte, len(sent))); err != nil {
		t.Errorf("%d of %d bytes in time: %v", n, len(sent), err)
	}
	if took := time.Since(began); took < delay {
		t.Errorf("took %s, less than the delay of %s", took, delay)
	}
	b.rules()
	b.mustEcho(c, "order is kept")
}

func TestWhatHappensToBytes(t *testing.T) {
	text := "0123456789abcdef"
	for _, c := range []struct {
		name string
		rule chaos.Rule
		want func(got string, err error) bool
	}{
		{"truncate", rule(chaos.Truncate, func(r *chaos.Rule) { r.What.Bytes = 5 }), func(got string, err error) bool { return got == "01234" && errors.Is(err, io.ErrUnexpectedEOF) }},
		{"corrupt", rule(chaos.Corrupt, func(r *chaos.Rule) { r.What.Bytes = 1 }), func(got string, err error) bool { return err == nil && len(got) == len(text) && differ(got, text) == 1 }},
		{"slice", rule(chaos.Slice, func(r *chaos.Rule) { r.What.ChunkBytes, r.What.ChunkVary = 3, 2 }), func(got string, err error) bool { return err == nil && got == text }},
		{"bandwidth", rule(chaos.Bandwidth, func(r *chaos.Rule) { r.What.BytesPerS = 1000 }), func(got string, err error) bool { return err == nil && got == text }},
		{"drop", rule(chaos.Drop, func(r *chaos.Rule) { r.What.AfterBytes, r.What.Direction = 4, chaos.Downstream }), func(got string, err error) bool { return got == "0123" && err != nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := build(t, c.rule)
			if got, err := b.echo(b.dial(), text); !c.want(got, err) {
				t.Errorf("%q, %v", got, err)
			}
			if e := <-b.reported; string(e.Kind) != c.name {
				t.Errorf("got %s", e.Kind)
			}
		})
	}
}

func differ(a, b string) (n int) {
	for i := range a {
		if a[i] != b[i] {
			n++
		}
	}
	return n
}

func TestAnUpstreamThatIsNotThere(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := closed.Addr().String()
	closed.Close()
	failed := make(chan error, 100)
	p, err := tcpproxy.Start(t.Context(), tcpproxy.Config{Dependency: "gone", Upstream: addr, OnError: func(err error) { failed <- err }})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for range 100 { // Toxiproxy accepts and closes, and checks whether a proxy is up rely on it.
		c, err := net.Dial("tcp", p.Addr())
		if err != nil {
			t.Fatalf("a client can't connect: %v", err)
		}
		if _, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the client sees %v, want the end", err)
		}
		c.Close()
	}
	if err := <-failed; !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("got %v", err)
	}
}

func TestCloseEndsLiveConnections(t *testing.T) {
	for _, r := range [][]chaos.Rule{nil, {rule(chaos.Hang)}, {rule(chaos.Latency, func(r *chaos.Rule) { r.What.Delay = time.Minute })}, {rule(chaos.Blackhole)}} {
		b := build(t, r...)
		c := b.dial()
		if _, err := io.WriteString(c, "x"); err != nil {
			t.Fatal(err)
		}
		if r != nil {
			<-b.reported
		}
		if err := b.proxy.Close(); err != nil {
			t.Error(err)
		}
		if err := b.proxy.Close(); err != nil {
			t.Error("closed twice:", err)
		}
	}
}

func TestBadConfigurations(t *testing.T) {
	if _, err := tcpproxy.Start(t.Context(), tcpproxy.Config{Upstream: "nowhere", DialTimeout: -1}); err == nil {
		t.Error("accepted")
	}
	if _, err := tcpproxy.Start(t.Context(), tcpproxy.Config{Dependency: "d", Upstream: "127.0.0.1:1", Listen: "256.0.0.1:0"}); err == nil {
		t.Error("accepted an address that can't be listened on")
	}
}
