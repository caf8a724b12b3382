package cqlproxy

import (
	"encoding/binary"
	"fmt"

	"github.com/datastax/go-cassandra-native-protocol/compression/lz4"
	"github.com/datastax/go-cassandra-native-protocol/crc"
)

// maxPayload is the most that a segment of version 5 carries.
const maxPayload = 1<<17 - 1

// Lengths around a segment's payload: header with its checksum, and trailer.
const (
	plainHeaderBytes  = 3 + 3
	packedHeaderBytes = 5 + 3
	trailerBytes      = 4
)

func segmentHeaderBytes(packed bool) int {
	if packed {
		return packedHeaderBytes
	}
	return plainHeaderBytes
}

// segment is one segment of version 5, its payload as it is on the wire.
type segment struct {
	payload   []byte
	plainSize int  // of a compressed payload; 0: it is not compressed
	whole     bool // it holds frames only whole
	size      int  // on the wire
}

// splitSegment returns the first segment of b; need has the meaning that it has in split.
// packed says that the connection's segments have the header for compression.
func splitSegment(b []byte, packed bool) (s segment, need int, err *protocolError) {
	head := segmentHeaderBytes(packed)
	if len(b) < head {
		return s, head, nil
	}
	var word uint64
	for i := head - 3 - 1; i >= 0; i-- {
		word = word<<8 | uint64(b[i])
	}
	if sum, want := crc.ChecksumKoopman(word, head-3), uint32(b[head-3])|uint32(b[head-2])<<8|uint32(b[head-1])<<16; sum != want {
		return s, 0, &protocolError{text: fmt.Sprintf("Invalid segment: the header's checksum is %06x, its bytes have %06x", want, sum)}
	}
	size := int(word & maxPayload)
	word >>= 17
	if packed {
		s.plainSize = int(word & maxPayload)
		word >>= 17
	}
	s.whole = word&1 == 1
	s.size = head + size + trailerBytes
	if len(b) < s.size {
		return s, s.size, nil
	}
	s.payload = b[head : head+size : head+size]
	if sum, want := crc.ChecksumIEEE(s.payload), binary.LittleEndian.Uint32(b[head+size:]); sum != want {
		return s, 0, &protocolError{text: fmt.Sprintf("Invalid segment: the payload's checksum is %08x, its bytes have %08x", want, sum)}
	}
	return s, 0, nil
}

// plain returns the payload, decompressed. A payload that was compressed is appended to slab.
func (s segment) plain(slab []byte) (payload, rest []byte, err *protocolError) {
	if s.plainSize == 0 {
		return s.payload, slab, nil
	}
	if cap(slab)-len(slab) < s.plainSize {
		slab = make([]byte, 0, max(s.plainSize, 64<<10))
	}
	out := slab[len(slab) : len(slab)+s.plainSize : len(slab)+s.plainSize]
	if e := unpack(func() error { return lz4.Compressor{}.DecompressSegment(s.payload, out) }); e != nil {
		return nil, slab, &protocolError{text: fmt.Sprintf("Invalid segment: its payload is not lz4: %v", e)}
	}
	return out, slab[:len(slab)+s.plainSize], nil
}

// appendSegment appends a segment of a payload of at most maxPayload bytes, not
// compressed.
func appendSegment(b, payload []byte, whole, packed bool) []byte {
	word, head := uint64(len(payload)), segmentHeaderBytes(packed)
	if whole {
		if packed {
			word |= 1 << 34
		} else {
			word |= 1 << 17
		}
	}
	sum := crc.ChecksumKoopman(word, head-3)
	for i := range head - 3 {
		b = append(b, byte(word>>(8*i)))
	}
	b = append(b, byte(sum), byte(sum>>8), byte(sum>>16))
	b = append(b, payload...)
	return binary.LittleEndian.AppendUint32(b, crc.ChecksumIEEE(payload))
}

// appendSegments appends frames: as many as fit into each segment, long ones alone in
// separate segments.
func appendSegments(b []byte, packed bool, frames ...frame) []byte {
	var payload []byte
	flush := func() {
		if len(payload) > 0 {
			b = appendSegment(b, payload, true, packed)
			payload = payload[:0]
		}
	}
	for _, f := range frames {
		if len(payload)+len(f) > maxPayload {
			flush()
		}
		if len(f) <= maxPayload {
			payload = append(payload, f...)
			continue
		}
		for rest := []byte(f); len(rest) > 0; {
			n := min(len(rest), maxPayload)
			b = appendSegment(b, rest[:n], false, packed)
			rest = rest[n:]
		}
	}
	flush()
	return b
}
