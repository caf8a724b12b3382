package cqlproxy

import (
	"io"
	"sync"
	"sync/atomic"
)

// sink writes frames to one side of a connection. It is safe for concurrent use.
type sink struct {
	to    io.Writer
	count *atomic.Int64 // of all connections
	wrote atomic.Int64  // of this one

	mu               sync.Mutex
	segments, packed bool
	buf              []byte
}

// agree sets the framing from the next write on.
func (s *sink) agree(segments, packed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.segments, s.packed = segments, packed
}

// raw writes bytes that are in the connection's framing.
func (s *sink) raw(b []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writeLocked(b)
}

// frames writes frames in the connection's framing, in one piece.
func (s *sink) frames(frames ...frame) error {
	if len(frames) == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writeLocked(s.encodeLocked(frames...))
}

// changed writes a frame's bytes after change has changed them. head is the number of
// leading bytes that contain the frame's length.
func (s *sink) changed(f frame, change func(wire []byte, head int) []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	head := headerBytes
	if s.segments {
		head = segmentHeaderBytes(s.packed)
	}
	return s.writeLocked(change(s.encodeLocked(f), head))
}

func (s *sink) encodeLocked(frames ...frame) []byte {
	b := s.buf[:0]
	if cap(b) > keepBytes {
		b = nil
	}
	if s.segments {
		b = appendSegments(b, s.packed, frames...)
	} else {
		for _, f := range frames {
			b = append(b, f...)
		}
	}
	s.buf = b
	return b
}

func (s *sink) writeLocked(b []byte) error {
	n, err := s.to.Write(b)
	s.count.Add(int64(n))
	s.wrote.Add(int64(n))
	return err
}
