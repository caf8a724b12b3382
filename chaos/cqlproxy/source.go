package cqlproxy

import "io"

// Sizes of what a source reads at once. A frame that is longer grows the buffer as its
// bytes come, never because its header says so.
const (
	readBytes = 32 << 10
	keepBytes = 1 << 20
)

// source reads frames from one side of a connection. It is for one goroutine.
type source struct {
	from     io.Reader
	limit    int // of a frame's body, in bytes
	response bool

	segments, packed bool // since version 5 was agreed on; with lz4

	buf  []byte
	r, w int    // buf[r:w] is not read yet
	slab []byte // for what was compressed
	part []byte // frame that spans segments
	came int64  // bytes that came
}

// batch holds frames that arrived together. They are valid until the next read.
type batch struct {
	frames []frame
	// raw has the bytes of exactly these frames as they arrived, or nil if the frames can't
	// be passed on in that form.
	raw []byte

	spans bool // a frame spans segments, so that raw is not known
}

func newSource(from io.Reader, limit int, response bool) *source {
	return &source{from: from, limit: limit, response: response, buf: make([]byte, readBytes)}
}

// next waits for at least one frame. A batch ends with a message after which the
// framing may change. Its error is a *protocolError, or the reader's.
func (s *source) next() (batch, error) {
	if s.r == s.w {
		s.r, s.w = 0, 0
		if len(s.buf) > keepBytes {
			s.buf = make([]byte, readBytes)
		}
	}
	s.slab = s.slab[:0]
	for {
		b, need, err := s.take()
		if len(b.frames) > 0 {
			return b, nil
		}
		if err != nil {
			return b, err
		}
		if err := s.fill(need); err != nil {
			return b, err
		}
	}
}

// fill makes room for up to need bytes in all, and reads.
func (s *source) fill(need int) error {
	if s.r > 0 && s.r+need > len(s.buf) {
		s.w = copy(s.buf, s.buf[s.r:s.w])
		s.r = 0
	}
	if s.w == len(s.buf) {
		grown := make([]byte, min(2*len(s.buf), max(need, len(s.buf)+1)))
		s.w = copy(grown, s.buf[s.r:s.w])
		s.r, s.buf = 0, grown
	}
	n, err := s.from.Read(s.buf[s.w:])
	s.w += n
	s.came += int64(n)
	if n > 0 {
		return nil
	}
	if err == io.EOF && (s.w > s.r || len(s.part) > 0) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// take splits the bytes that arrived into frames. If there is no complete frame, need is how
// many bytes are needed before more can be said. The error is nil or a *protocolError.
func (s *source) take() (b batch, need int, _ error) {
	begin := s.r
	for {
		var pause bool
		var err *protocolError
		if s.segments {
			need, err = s.segment(&b)
		} else {
			var f frame
			if f, need, err = split(s.buf[s.r:s.w], s.limit, s.response); f != nil {
				s.r += len(f)
				b.frames = append(b.frames, f)
				pause = changes(f)
			}
		}
		if err != nil {
			return b.to(s, begin), 0, err
		}
		if need > 0 || pause {
			return b.to(s, begin), need, nil
		}
	}
}

// to sets raw if the bytes from begin on are exactly those of the batch.
func (b batch) to(s *source, begin int) batch {
	if len(b.frames) > 0 && !b.spans {
		b.raw = s.buf[begin:s.r:s.r]
	}
	return b
}

// changes reports whether the framing may change after the message.
func changes(f frame) bool {
	switch f.op() {
	case opStartup, opReady, opAuthenticate:
		return true
	}
	return false
}

// segment adds the frames of the next segment to the batch. need is as in split.
func (s *source) segment(b *batch) (need int, err *protocolError) {
	seg, need, err := splitSegment(s.buf[s.r:s.w], s.packed)
	if err != nil || need > 0 {
		return need, err
	}
	payload, slab, err := seg.plain(s.slab)
	if err != nil {
		return 0, err
	}
	s.slab = slab
	if !seg.whole {
		b.spans = true
		if err := s.grow(payload, b); err != nil {
			return 0, err
		}
		s.r += seg.size
		return 0, nil
	}
	if len(s.part) > 0 {
		return 0, &protocolError{text: "Invalid segment: a frame was begun, and its rest did not come"}
	}
	frames := len(b.frames)
	for len(payload) > 0 {
		f, need, err := split(payload, s.limit, s.response)
		if err == nil && need > 0 {
			err = &protocolError{text: "Invalid segment: it says that its frames are whole, and the last is not"}
		}
		if err != nil {
			b.frames = b.frames[:frames] // all of a segment or none, as raw has it
			return 0, err
		}
		b.frames = append(b.frames, f)
		payload = payload[len(f):]
	}
	s.r += seg.size
	return 0, nil
}

// grow adds bytes to a frame that spans segments, and completes it when all have arrived.
func (s *source) grow(payload []byte, b *batch) *protocolError {
	part := append(s.part, payload...)
	f, need, err := split(part, s.limit, s.response)
	switch {
	case err != nil:
		return err
	case need > 0:
		s.part = part
		return nil
	case len(f) < len(part):
		return &protocolError{stream: f.stream(), text: "Invalid segment: a frame of several segments has bytes after its end"}
	}
	s.part = nil
	b.frames = append(b.frames, f)
	return nil
}
