package tcpproxy

import (
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/backstay-go/backstay/chaos"
)

// chunkBytes is how much is read at once. A connection that fills this buffer gets a larger
// one, up to bulkBytes, so that only bulk transfers pay for large buffers.
const (
	chunkBytes = 32 << 10
	bulkBytes  = 256 << 10
)

// pipe carries one direction of a relay. Without faults it only reads and writes. Bytes that
// must wait go through a queue, so that many of them can be under way at once.
type pipe struct {
	relay     *relay
	from, to  conn
	direction string
	all, own  *atomic.Int64 // bytes passed, of the proxy and of the relay
	came      *atomic.Int64 // bytes read, of the proxy

	passed int64            // bytes written, or on their way
	starts map[string]start // where faults met the bytes, by rule
	drawn  uint64           // random numbers used
	queue  *queue
}

// start is how many bytes had passed when a fault met the pipe.
type start struct {
	begins time.Duration // of the fault's window
	at     int64
}

func newPipe(r *relay, from, to conn, direction string) *pipe {
	p := &pipe{relay: r, from: from, to: to, direction: direction, all: &r.proxy.stats.up, own: &r.up, came: &r.proxy.stats.cameUp, starts: map[string]start{}}
	if direction == chaos.Downstream {
		p.all, p.own, p.came = &r.proxy.stats.down, &r.down, &r.proxy.stats.cameDown
	}
	return p
}

// count adds bytes that were written.
func (p *pipe) count(n int) {
	p.all.Add(int64(n))
	p.own.Add(int64(n))
}

func (p *pipe) run() {
	p.carry()
	if p.queue != nil {
		p.queue.close()
	}
	// The direction that ends last closes the relay.
	if p.relay.pipes.Add(-1) == 0 {
		p.relay.abort(p.relay.broken.Load())
	}
}

// carry passes bytes on until there are no more, and then the end.
func (p *pipe) carry() {
	buf := make([]byte, chunkBytes)
	for {
		n, err := p.from.Read(buf)
		p.came.Add(int64(n))
		if n > 0 && !p.chunk(buf[:n]) {
			return
		}
		if err == nil {
			if n == len(buf) && n < bulkBytes {
				buf = make([]byte, 2*n)
			}
			continue
		}
		if p.queue != nil && !p.queue.drain() {
			return // The other side can't be written to.
		}
		if errors.Is(err, io.EOF) {
			p.finish()
		} else {
			p.relay.abort(true)
		}
		return
	}
}

// fail ends this direction because its destination cannot be written to. The other
// direction goes on, so that what the destination has sent before still arrives.
func (p *pipe) fail() {
	p.relay.broken.Store(true)
	// It fails if the connection is closed, which ends the reading as well.
	_ = p.from.SetReadDeadline(time.Now())
}

// finish passes the end of a direction on as soon as the faults allow it.
func (p *pipe) finish() {
	came := time.Now()
	for {
		now := p.relay.current()
		var end ending
		for _, f := range now.forces {
			if p.meets(f) && f.effect.finish(f.Fault, &end) {
				p.relay.report(f.Fault)
			}
		}
		left := end.delay - time.Since(came)
		if !end.hold && left <= 0 {
			// An error means that the other side is gone. The pipe of that side handles it.
			_ = p.to.CloseWrite()
			return
		}
		if end.hold {
			left = 0
		}
		if !p.wait(left, now.changed) {
			return
		}
	}
}

// acts reports whether a fault acts on this direction.
func (p *pipe) acts(f force) bool {
	switch f.What.Direction {
	case "":
		return p.direction == chaos.Downstream || f.effect.bothWays()
	case chaos.Both:
		return true
	}
	return f.What.Direction == p.direction
}

// meets reports whether a fault acts on this direction and the bytes that it waits for have
// passed.
func (p *pipe) meets(f force) bool { return p.acts(f) && p.passed >= f.What.AfterBytes }

// since returns how many bytes have passed since a fault met the connection.
func (p *pipe) since(f chaos.Fault) int64 {
	s, met := p.starts[f.Rule]
	if !met || s.begins != f.Begins {
		s = start{f.Begins, p.passed}
		p.starts[f.Rule] = s
	}
	return p.passed - s.at
}

// chunk applies the faults in force to bytes that were just read, and passes on what is
// left of them. If it returns false, the pipe ends.
func (p *pipe) chunk(b []byte) bool {
	now := p.relay.current()
	if len(now.forces) == 0 && (p.queue == nil || p.queue.empty()) {
		return p.write(b)
	}
	for n := p.boundary(now.forces, len(b)); n < len(b); n = p.boundary(now.forces, len(b)) {
		if !p.part(now, b[:n]) {
			return false
		}
		b, now = b[n:], p.relay.current()
	}
	return p.part(now, b)
}

// boundary returns how many of the next n bytes pass before a fault begins that waits for a
// number of bytes.
func (p *pipe) boundary(forces []force, n int) int {
	for _, f := range forces {
		if left := f.What.AfterBytes - p.passed; left > 0 && left < int64(n) {
			n = int(left)
		}
	}
	return n
}

// part passes on bytes to which the same faults apply.
func (p *pipe) part(now *inForce, b []byte) bool {
	fate := p.judge(now.forces, b)
	for fate.hold {
		if !p.wait(0, now.changed) {
			return false
		}
		now = p.relay.current()
		fate = p.judge(now.forces, b)
	}
	switch {
	case fate.abort:
		p.relay.abort(fate.reset)
		return false
	case fate.swallow:
		return true
	}
	b = b[:len(b)-fate.cut]
	if !p.deliver(now, b, fate.waits) {
		return false
	}
	if fate.ends {
		if p.queue != nil {
			p.queue.drain()
		}
		p.relay.abort(false)
		return false
	}
	return true
}

// judge decides what the faults do with bytes. Waits add up; of the other faults only the
// first one applies.
func (p *pipe) judge(forces []force, b []byte) fate {
	var fate fate
	var pace pace
	decided := false
	for _, f := range forces {
		if !p.meets(f) {
			continue
		}
		switch {
		case f.effect.pace(f.Fault, p.drawn, &pace):
			fate.waits = append(fate.waits, wait{f.Rule, f.Begins, p.drawn})
			p.drawn++
		case !decided && f.effect.part(p, f, b, &fate):
			decided = true
		default:
			continue
		}
		p.relay.report(f.Fault)
	}
	return fate
}

// deliver writes bytes at once, or puts them into the queue if they must wait.
func (p *pipe) deliver(now *inForce, b []byte, waits []wait) bool {
	if len(waits) == 0 && (p.queue == nil || p.queue.empty()) {
		return p.write(b)
	}
	if p.queue == nil {
		p.queue = newQueue(p)
	}
	p.passed += int64(len(b))
	return p.queue.put(b, waits, p.pace(now, waits).room())
}

// pace returns what queued bytes have to wait for under the faults of this moment. Rules
// that have ended no longer count.
func (p *pipe) pace(now *inForce, waits []wait) pace {
	var pace pace
	for _, w := range waits {
		for _, f := range now.forces {
			if f.Rule == w.rule && f.Begins == w.begins && p.acts(f) {
				f.effect.pace(f.Fault, w.draw, &pace)
			}
		}
	}
	return pace
}

func (p *pipe) write(b []byte) bool {
	n, err := p.to.Write(b)
	p.passed += int64(n)
	p.count(n)
	if err != nil {
		p.fail()
		return false
	}
	return true
}

// wait waits for a time (0 means for ever) or until the faults change. It returns false if
// the relay has ended.
func (p *pipe) wait(d time.Duration, changed <-chan struct{}) bool {
	var wake <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		wake = t.C
	}
	select {
	case <-wake:
	case <-changed:
	case <-p.relay.done:
		return false
	}
	return true
}
