package httpfault

import (
	"bytes"
	"io"
	"time"

	"github.com/backstay-go/backstay/chaos"
)

// defaultChunk is how many bytes of a slow body are passed between two waits.
const defaultChunk = 64

// readBytes is how much of an answer is read at once, unless a fault wants less.
const readBytes = 4 << 10

// damage applies faults to a body: it takes the original bytes and returns the changed
// ones. It must be used by only one goroutine.
type damage struct {
	decided
	faults []chaos.Fault
	begun  []bool
	seen   int64
	drawn  uint64
}

func (d decided) damage(faults []chaos.Fault) *damage {
	m := &damage{decided: d, faults: faults, begun: make([]bool, len(faults))}
	for i, f := range faults {
		if f.What.AfterBytes == 0 {
			m.begin(i)
		}
	}
	return m
}

// begin reports a fault once. It returns false if the fault was reported before.
func (d *damage) begin(i int) bool {
	if d.begun[i] {
		return false
	}
	d.begun[i] = true
	d.report(d.faults[i])
	return true
}

// of returns the fault of a kind, or nil.
func (d *damage) of(kind chaos.Kind) *chaos.Fault {
	for i := range d.faults {
		if d.faults[i].What.Kind == kind {
			return &d.faults[i]
		}
	}
	return nil
}

func chunk(f chaos.Fault) int64 {
	if f.What.ChunkBytes > 0 {
		return f.What.ChunkBytes
	}
	return defaultChunk
}

// step returns to how many of the next n bytes the same faults apply.
func (d *damage) step(n int64) int64 {
	for _, f := range d.faults {
		if left := f.What.AfterBytes - d.seen; left > 0 {
			n = min(n, left)
			continue
		}
		switch f.What.Kind {
		case chaos.SlowBody:
			n = min(n, chunk(f))
		case chaos.Truncate:
			if left := f.What.Bytes - d.seen; left > 0 {
				n = min(n, left)
			}
		}
	}
	return n
}

// cut is the error of a fault that ends a body early.
type cut struct{ fault chaos.Fault }

func (c *cut) Error() string { return "the body is cut by chaos rule " + c.fault.Rule }

// pass hands the bytes to write, piece by piece, and waits between the pieces. The error is
// a *cut, or the error of a wait or of write.
func (d *damage) pass(b []byte, write func([]byte) error) error {
	for len(b) > 0 {
		part := b[:d.step(int64(len(b)))]
		b = b[len(part):]
		for i, f := range d.faults {
			if d.seen < f.What.AfterBytes || d.injector.Over(f) {
				continue
			}
			first := d.begin(i)
			var err error
			if part, err = d.apply(f, part, first); err != nil {
				return err
			}
		}
		d.seen += int64(len(part))
		if err := write(part); err != nil {
			return err
		}
	}
	return nil
}

// apply applies one fault to a piece; first says that the fault begins with this piece.
func (d *damage) apply(f chaos.Fault, part []byte, first bool) ([]byte, error) {
	switch f.What.Kind {
	case chaos.Latency, chaos.Hang:
		if first {
			return part, d.wait(f, lasting(f))
		}
	case chaos.Reset, chaos.Drop:
		if err := d.wait(f, f.Delay); err != nil || d.injector.Over(f) {
			return part, err
		}
		return part, &cut{f}
	case chaos.Truncate:
		if d.seen >= f.What.Bytes {
			return part, &cut{f}
		}
	case chaos.Corrupt:
		part = bytes.Clone(part)
		for i := range max(1, f.What.Bytes) {
			part[f.Pick(d.drawn+uint64(i), len(part))] ^= byte(1 + f.Pick(d.drawn+uint64(i)+1<<32, 255))
		}
		d.drawn += uint64(max(1, f.What.Bytes))
	case chaos.SlowBody:
		return part, d.wait(f, d.pause(f, len(part)))
	}
	return part, nil
}

// pause returns how long a slow body waits before n bytes: the time that they take at the
// rate, plus a delay.
func (d *damage) pause(f chaos.Fault, n int) time.Duration {
	p := f.DelayOf(d.drawn)
	d.drawn++
	if f.What.BytesPerS > 0 {
		p += time.Duration(float64(n) / float64(f.What.BytesPerS) * float64(time.Second))
	}
	return p
}

// spoiledBody is a response body that is damaged on the way to the client.
type spoiledBody struct {
	body   io.ReadCloser
	damage *damage
	stated int64 // length that the answer states wrongly; -1: it does not
	ready  bytes.Buffer
	err    error
	buf    []byte
}

// spoilBody damages an answer. It reads the first bytes if their number must be stated.
func spoilBody(body io.ReadCloser, length int64, d *damage) (_ *spoiledBody, stated int64) {
	s := &spoiledBody{body: body, damage: d, stated: -1, buf: make([]byte, readBytes)}
	switch wrong := d.of(chaos.WrongLength); {
	case wrong != nil && length < 0:
		// The length is stated as a server states it for a body that it writes in one piece,
		// changed by the fault.
		s.fill()
		length = int64(s.ready.Len())
		fallthrough
	case wrong != nil:
		s.stated = length + max(1, wrong.What.Bytes)
		return s, s.stated
	case d.of(chaos.EndlessBody) != nil:
		return s, -1
	}
	return s, length
}

func (s *spoiledBody) Read(b []byte) (int, error) {
	for s.ready.Len() == 0 {
		if s.err != nil {
			return 0, s.err
		}
		s.fill()
	}
	return s.ready.Read(b)
}

func (s *spoiledBody) fill() {
	n, err := s.body.Read(s.buf[:s.damage.step(readBytes)])
	if s.stated >= 0 && s.damage.seen+int64(n) >= s.stated {
		n, err = int(s.stated-s.damage.seen), io.EOF // A client that trusts the length stops here.
		s.stated = -1
	}
	passed := s.damage.pass(s.buf[:n], func(part []byte) error {
		_, err := s.ready.Write(part)
		return err
	})
	endless := s.damage.of(chaos.EndlessBody)
	switch c, isCut := passed.(*cut); {
	case isCut:
		s.err = c.lost(s.damage.call)
	case passed != nil:
		s.err = passed
	case err == io.EOF && s.stated >= 0:
		s.err = io.ErrUnexpectedEOF
	case err == io.EOF && endless != nil:
		if s.err = s.damage.wait(*endless, max(time.Millisecond, s.damage.pause(*endless, 0))); s.err == nil && !s.damage.injector.Over(*endless) {
			s.ready.Write(bytes.Repeat([]byte{' '}, int(chunk(*endless))))
		} else if s.err == nil {
			s.err = io.ErrUnexpectedEOF
		}
	default:
		s.err = err
	}
}

// lost returns the error with which a client sees a cut.
func (c *cut) lost(call chaos.Call) error {
	switch c.fault.What.Kind {
	case chaos.Reset:
		err := c.fault.Err(call)
		err.Err = reset()
		return err
	case chaos.Drop:
		err := c.fault.Err(call)
		err.Err = io.ErrUnexpectedEOF
		return err
	}
	return io.ErrUnexpectedEOF
}

func (s *spoiledBody) Close() error { return s.body.Close() }
