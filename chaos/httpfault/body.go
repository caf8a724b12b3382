package httpfault

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/backstay-go/backstay/chaos"
)

// damage is what a fault does to a body: bytes go in, other bytes come out.
type damage struct {
	decided
	fault chaos.Fault
	seen  int64
	drawn uint64
}

// chunk is how many bytes are passed between two waits.
func (d *damage) chunk() int64 {
	if d.fault.What.ChunkBytes > 0 {
		return d.fault.What.ChunkBytes
	}
	return 64
}

// pass gives the bytes to write, piece by piece, with the waits between; cut says
// that the body ends here, however much is left.
func (d *damage) pass(b []byte, write func([]byte) error) (cut bool, err error) {
	f := d.fault
	switch f.What.Kind {
	case chaos.Truncate:
		left := f.What.Bytes - d.seen
		d.seen += int64(len(b))
		if left < int64(len(b)) {
			return true, write(b[:max(0, left)])
		}
		return false, write(b)
	case chaos.Corrupt:
		b = bytes.Clone(b)
		for i := range max(1, f.What.Bytes) {
			if len(b) > 0 {
				b[f.Pick(d.drawn+uint64(i), len(b))] ^= byte(1 + f.Pick(d.drawn+uint64(i)+1<<32, 255))
			}
		}
		d.drawn += uint64(max(1, f.What.Bytes))
		return false, write(b)
	case chaos.SlowBody:
		for len(b) > 0 {
			n := min(d.chunk(), int64(len(b)))
			if err := d.wait(f, d.pause(n)); err != nil {
				return true, err
			}
			if err := write(b[:n]); err != nil {
				return true, err
			}
			b = b[n:]
		}
		return false, nil
	}
	return false, write(b)
}

func (d *damage) pause(n int64) time.Duration {
	if d.fault.What.BytesPerS > 0 {
		return time.Duration(float64(n) / float64(d.fault.What.BytesPerS) * float64(time.Second))
	}
	p := d.fault.DelayOf(d.drawn)
	d.drawn++
	return p
}

// spoiled is a ResponseWriter whose body is damaged.
type spoiled struct {
	http.ResponseWriter
	decided
	fault  chaos.Fault
	damage *damage
	wrote  bool
}

func (s *spoiled) WriteHeader(status int) {
	if s.wrote {
		return
	}
	s.wrote = true
	s.damage = &damage{decided: s.decided, fault: s.fault}
	h := s.Header()
	switch s.fault.What.Kind {
	case chaos.WrongLength:
		n, _ := strconv.ParseInt(h.Get("Content-Length"), 10, 64)
		h.Set("Content-Length", strconv.FormatInt(max(0, n+max(1, s.fault.What.Bytes)), 10))
	case chaos.EndlessBody:
		h.Del("Content-Length")
	}
	s.ResponseWriter.WriteHeader(status)
}

func (s *spoiled) Write(b []byte) (int, error) {
	if !s.wrote {
		if h := s.Header(); s.fault.What.Kind == chaos.WrongLength && h.Get("Content-Length") == "" {
			h.Set("Content-Length", strconv.Itoa(len(b))) // as the server would, of a body in one piece
		}
		s.WriteHeader(http.StatusOK)
	}
	cut, err := s.damage.pass(b, func(part []byte) error {
		if len(part) == 0 {
			return nil
		}
		_, err := s.ResponseWriter.Write(part)
		s.Flush()
		return err
	})
	if cut {
		panic(http.ErrAbortHandler)
	}
	return len(b), err
}

// Flush sends what there is.
func (s *spoiled) Flush() {
	// Where flushing is not possible the server sends when it wants to.
	_ = http.NewResponseController(s.ResponseWriter).Flush()
}

// Unwrap is for http.ResponseController.
func (s *spoiled) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// end is called when the handler has ended.
func (s *spoiled) end() {
	if !s.wrote {
		s.WriteHeader(http.StatusOK)
	}
	switch s.fault.What.Kind {
	case chaos.EndlessBody:
		piece := bytes.Repeat([]byte{' '}, int(s.damage.chunk()))
		for !s.injector.Over(s.fault) && s.ctx.Err() == nil {
			if _, err := s.ResponseWriter.Write(piece); err != nil {
				return
			}
			s.Flush()
			pause := max(time.Millisecond, s.damage.pause(0))
			if s.wait(s.fault, pause) != nil {
				return
			}
		}
		panic(http.ErrAbortHandler)
	case chaos.WrongLength:
		panic(http.ErrAbortHandler) // Less came than was said.
	}
}

// spoiledBody is a response body that is damaged on the way to the client.
type spoiledBody struct {
	body   io.ReadCloser
	damage *damage
	ready  bytes.Buffer
	err    error
	buf    []byte
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
	if s.buf == nil {
		s.buf = make([]byte, s.damage.chunk())
	}
	n, err := s.body.Read(s.buf)
	cut, e := s.damage.pass(s.buf[:n], func(part []byte) error {
		_, err := s.ready.Write(part)
		return err
	})
	switch {
	case e != nil:
		s.err = e
	case cut:
		s.err = io.ErrUnexpectedEOF
	case err == io.EOF && s.damage.fault.What.Kind == chaos.WrongLength:
		s.err = io.ErrUnexpectedEOF
	case err == io.EOF && s.damage.fault.What.Kind == chaos.EndlessBody:
		if s.err = s.damage.wait(s.damage.fault, max(time.Millisecond, s.damage.pause(0))); s.err == nil && !s.damage.injector.Over(s.damage.fault) {
			s.ready.Write(bytes.Repeat([]byte{' '}, len(s.buf)))
		} else if s.err == nil {
			s.err = io.ErrUnexpectedEOF
		}
	default:
		s.err = err
	}
}

func (s *spoiledBody) Close() error { return s.body.Close() }
