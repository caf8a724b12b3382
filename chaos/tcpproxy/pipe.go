package tcpproxy

import (
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/backstay-go/backstay/chaos"
)

// chunkBytes is how much is read at once; a connection that fills it gets more, up
// to bulkBytes, so that only bulk transfers pay for large buffers.
const (
	chunkBytes = 32 << 10
	bulkBytes  = 256 << 10
)

// lineBytes bounds what a delay line holds; a sender that is faster is not read.
const lineBytes = 4 << 20

// pipe carries one direction of a link. Without faults it reads and writes; delays
// go through a line, so that many chunks can be under way at once.
type pipe struct {
	link      *link
	from, to  conn
	direction string
	all, own  *atomic.Int64 // bytes passed, of the proxy and of the link
	came      *atomic.Int64 // bytes read, of the proxy

	passed int64  // bytes written
	drawn  uint64 // delays drawn
	line   *line
}

func newPipe(l *link, from, to conn, direction string) *pipe {
	p := &pipe{link: l, from: from, to: to, direction: direction, all: &l.proxy.stats.up, own: &l.up, came: &l.proxy.stats.cameUp}
	if direction == chaos.Downstream {
		p.all, p.own, p.came = &l.proxy.stats.down, &l.down, &l.proxy.stats.cameDown
	}
	return p
}

// count adds bytes that were written.
func (p *pipe) count(n int) {
	p.all.Add(int64(n))
	p.own.Add(int64(n))
}

func (p *pipe) run() {
	buf := make([]byte, chunkBytes)
	for {
		n, err := p.from.Read(buf)
		p.came.Add(int64(n))
		if n > 0 && !p.chunk(buf[:n]) {
			break
		}
		if err == nil {
			if n == len(buf) && n < bulkBytes {
				buf = make([]byte, 2*n)
			}
			continue
		}
		if p.line != nil {
			p.line.drain()
		}
		if errors.Is(err, io.EOF) {
			p.finish()
		} else {
			p.link.abort(true)
		}
		break
	}
	if p.line != nil {
		p.line.close()
	}
	// The last direction to end closes the link.
	if p.link.pipes.Add(-1) == 0 {
		p.link.abort(false)
	}
}

// finish passes the end of a direction on, when the faults let it.
func (p *pipe) finish() {
	for {
		now := p.link.current()
		wait, hold := time.Duration(0), false
		for _, f := range now.faults {
			if !p.hits(f) {
				continue
			}
			switch f.What.Kind {
			case chaos.SlowClose:
				p.link.tell(f)
				wait = max(wait, f.Delay)
			case chaos.HalfOpen, chaos.Hang:
				p.link.tell(f)
				hold = true
			}
		}
		if !hold {
			if wait > 0 && !p.wait(wait) {
				return
			}
			// An error means that the other side is gone, which its own pipe sees.
			_ = p.to.CloseWrite()
			return
		}
		select {
		case <-now.changed:
		case <-p.link.done:
			return
		}
	}
}

// hits says whether a fault is one of this direction, and its bytes have passed.
func (p *pipe) hits(f chaos.Fault) bool {
	switch f.What.Direction {
	case "":
		// Down to the client, as answers go; what stops a connection stops both ways.
		switch f.What.Kind {
		case chaos.Hang, chaos.Blackhole, chaos.HalfOpen, chaos.Reset, chaos.Drop:
		default:
			if p.direction != chaos.Downstream {
				return false
			}
		}
	case chaos.Both:
	default:
		if f.What.Direction != p.direction {
			return false
		}
	}
	return p.passed >= f.What.AfterBytes
}

// chunk passes bytes on, through what the faults make of them; false ends the pipe.
func (p *pipe) chunk(b []byte) bool {
	now := p.link.current()
	if len(now.faults) == 0 && (p.line == nil || p.line.empty()) {
		return p.write(b)
	}
	for n := p.boundary(now.faults, len(b)); n < len(b); n = p.boundary(now.faults, len(b)) {
		if !p.part(now, b[:n]) {
			return false
		}
		b, now = b[n:], p.link.current()
	}
	return p.part(now, b)
}

// boundary is how many of the next n bytes pass before a fault begins that waits for
// bytes.
func (p *pipe) boundary(faults []chaos.Fault, n int) int {
	for _, f := range faults {
		if left := f.What.AfterBytes - p.passed; left > 0 && left < int64(n) {
			n = int(left)
		}
	}
	return n
}

// part passes on what meets the same faults.
func (p *pipe) part(now *active, b []byte) bool {
	for {
		verdict := p.judge(now.faults, b)
		switch {
		case verdict.abort:
			p.link.abort(verdict.reset)
			return false
		case verdict.hold:
			select {
			case <-now.changed:
				now = p.link.current()
				continue
			case <-p.link.done:
				return false
			}
		case verdict.swallow:
			return true
		}
		b = b[:len(b)-verdict.cut]
		if !p.deliver(b, verdict) {
			return false
		}
		if verdict.ends {
			if p.line != nil {
				p.line.drain()
			}
			p.link.abort(false)
			return false
		}
		return true
	}
}

// verdict is what becomes of a chunk.
type verdict struct {
	abort, reset, hold, swallow bool
	ends                        bool // after this chunk without its last cut bytes
	cut                         int
	delay                       time.Duration
	perSecond                   int64
	slice, vary                 int64
	sliceDelay                  time.Duration
	sliced                      chaos.Fault
}

func (p *pipe) judge(faults []chaos.Fault, b []byte) verdict {
	var v verdict
	decided := false
	for _, f := range faults {
		if !p.hits(f) {
			continue
		}
		switch f.What.Kind {
		case chaos.Latency:
			v.delay += f.DelayOf(p.drawn)
			p.drawn++
		case chaos.Bandwidth:
			if v.perSecond == 0 || f.What.BytesPerS < v.perSecond {
				v.perSecond = f.What.BytesPerS
			}
		case chaos.Slice:
			v.slice, v.vary, v.sliceDelay, v.sliced = f.What.ChunkBytes, f.What.ChunkVary, f.What.Delay, f
		default:
			// Of faults that do not wait the first wins.
			if decided || !p.settle(f, b, &v) {
				continue
			}
			decided = true
		}
		p.link.tell(f)
	}
	return v
}

// settle fills in what a fault that does not wait does to a chunk.
func (p *pipe) settle(f chaos.Fault, b []byte, v *verdict) bool {
	switch f.What.Kind {
	case chaos.Hang:
		v.hold = true
	case chaos.Blackhole, chaos.HalfOpen:
		v.swallow = true
		if f.What.Delay > 0 {
			p.link.trip(f)
		}
	case chaos.Reset:
		switch {
		case f.What.Delay == 0:
			v.abort, v.reset = true, true
		case triggered(f):
			// The bytes that it waited for do not pass, as without a delay.
			p.link.trip(f)
			v.hold = true
		default:
			return false // bytes pass until it comes
		}
	case chaos.Drop:
		v.abort = true
	case chaos.Truncate:
		over := p.passed + int64(len(b)) - f.What.Bytes
		if over < 0 {
			return false
		}
		v.ends, v.cut = true, int(min(over, int64(len(b))))
	case chaos.Corrupt:
		n := max(1, f.What.Bytes)
		for i := range n {
			b[f.Pick(p.drawn+uint64(i), len(b))] ^= byte(1 + f.Pick(p.drawn+uint64(i)+1<<32, 255))
		}
		p.drawn += uint64(n)
	default:
		return false
	}
	return true
}

// deliver writes a chunk when its time has come.
func (p *pipe) deliver(b []byte, v verdict) bool {
	if v.slice > 0 {
		return p.slices(b, v)
	}
	if v.delay == 0 && v.perSecond == 0 && (p.line == nil || p.line.empty()) {
		return p.write(b)
	}
	if p.line == nil {
		p.line = newLine(p)
	}
	p.passed += int64(len(b))
	return p.line.put(b, v.delay, v.perSecond)
}

// slices writes a chunk in small pieces.
func (p *pipe) slices(b []byte, v verdict) bool {
	if p.line != nil {
		p.line.drain()
	}
	if v.delay > 0 && !p.wait(v.delay) {
		return false
	}
	for len(b) > 0 {
		n := v.slice
		if v.vary > 0 {
			n += int64(v.sliced.Pick(p.drawn, int(2*v.vary+1))) - v.vary
			p.drawn++
		}
		n = min(max(1, n), int64(len(b)))
		if !p.write(b[:n]) {
			return false
		}
		if b = b[n:]; len(b) > 0 && v.sliceDelay > 0 && !p.wait(v.sliceDelay) {
			return false
		}
	}
	return true
}

func (p *pipe) write(b []byte) bool {
	n, err := p.to.Write(b)
	p.passed += int64(n)
	p.count(n)
	if err != nil {
		p.link.abort(true)
		return false
	}
	return true
}

// wait waits; false means that the link ended.
func (p *pipe) wait(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-p.link.done:
		return false
	}
}
