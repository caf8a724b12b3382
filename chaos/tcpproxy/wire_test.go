package tcpproxy_test

import (
	"errors"
	"io"
	"maps"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/backstay-go/backstay/chaos"
)

// TestRefusedConnectionsAreReset: new ones only; those that are open live.
func TestRefusedConnectionsAreReset(t *testing.T) {
	b := build(t)
	live := b.dial()
	b.mustEcho(live, "before")
	b.rules(rule(chaos.Refuse))
	if err := tried(b.proxy.Addr()); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a new connection: %v, want a reset", err)
	}
	if e := <-b.reported; e.Kind != chaos.Refuse {
		t.Errorf("got %s", e.Kind)
	}
	b.mustEcho(live, "still there")
	b.rules()
	b.mustEcho(b.dial(), "after")
}

// TestBandwidthIsARate: bytes take their time, in the direction that is named only.
func TestBandwidthIsARate(t *testing.T) {
	t.Parallel() // it takes as long as the bytes
	const perSecond, sent = 1000, 500
	for _, direction := range []string{chaos.Downstream, chaos.Upstream} {
		b := build(t, rule(chaos.Bandwidth, func(r *chaos.Rule) { r.What.BytesPerS, r.What.Direction = perSecond, direction }))
		c := b.dial()
		began := time.Now()
		for range 5 { // A first chunk may pass at once.
			b.mustEcho(c, strings.Repeat("x", sent/5))
		}
		if took, least := time.Since(began), (sent-sent/5)*time.Second/perSecond; took < least {
			t.Errorf("%s: %d bytes took %s, less than %s", direction, sent, took, least)
		}
	}
}

// TestSlicesComeOneByOne: the first is there while the others wait.
func TestSlicesComeOneByOne(t *testing.T) {
	t.Parallel() // it takes as long as its delays
	const text, delay = "0123456789", 200 * time.Millisecond
	b := build(t, rule(chaos.Slice, func(r *chaos.Rule) { r.What.ChunkBytes, r.What.Delay = 2, delay }))
	c := b.dial()
	began := time.Now()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(text))
	n, err := c.Read(got)
	if err != nil || n == len(text) {
		t.Errorf("the first read gave %q, %v", got[:n], err)
	}
	if _, err := io.ReadFull(c, got[n:]); err != nil || string(got) != text {
		t.Errorf("%q, %v", got, err)
	}
	if took, least := time.Since(began), time.Duration(len(text)/2-1)*delay; took < least {
		t.Errorf("took %s, less than %s", took, least)
	}
}

// TestATruncatedConnectionEndsWithItsLastByte: not only when one more comes.
func TestATruncatedConnectionEndsWithItsLastByte(t *testing.T) {
	const text = "0123456789"
	for _, limit := range []int{0, 4, len(text)} {
		b := build(t, rule(chaos.Truncate, func(r *chaos.Rule) { r.What.Bytes = int64(limit) }))
		c := b.dial()
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(c); string(got) != text[:limit] || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%d: %q, %v", limit, got, err)
		}
	}
}

// TestABlackholeSwallowsAndCloses: nothing comes back, and after the delay the end does.
func TestABlackholeSwallowsAndCloses(t *testing.T) {
	const delay = 100 * time.Millisecond
	b := build(t, rule(chaos.Blackhole, func(r *chaos.Rule) { r.What.Delay = delay }))
	began := time.Now()
	if got, err := b.echo(b.dial(), "lost"); got != "" || err == nil {
		t.Errorf("%q, %v", got, err)
	}
	if took := time.Since(began); took < delay {
		t.Errorf("closed after %s, less than %s", took, delay)
	}
	if s := b.proxy.Stats(); s.Up != 0 || s.Down != 0 {
		t.Errorf("bytes passed: %+v", s)
	}
}

// TestTheSameSeedHitsTheSameConnections: by the number of the connection, whatever it
// sends.
func TestTheSameSeedHitsTheSameConnections(t *testing.T) {
	half := 0.5
	hits := func(seed uint64) map[int]bool {
		b := build(t)
		r := rule(chaos.Corrupt, func(r *chaos.Rule) { r.Often.Probability, r.What.Bytes = &half, 1 })
		if err := b.injector.Update(chaos.Plan{Seed: seed, Rules: []chaos.Rule{r}}); err != nil {
			t.Fatal(err)
		}
		hit := map[int]bool{}
		for n := range 30 {
			got, err := b.echo(b.dial(), "text")
			if err != nil {
				t.Fatal(err)
			}
			hit[n] = got != "text"
		}
		return hit
	}
	first := hits(7)
	if again := hits(7); !maps.Equal(first, again) {
		t.Errorf("one seed hit %v, and then %v", first, again)
	}
	if other := hits(8); maps.Equal(first, other) {
		t.Error("another seed hit the same")
	}
}
