package cqlproxy

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

// chunks reads some bytes at a time, as a connection does.
type chunks struct {
	b    []byte
	next func(n int) int
}

func (c *chunks) Read(p []byte) (int, error) {
	if len(c.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.b[:1+c.next(len(c.b))])
	c.b = c.b[n:]
	return n, nil
}

// all reads frames until the end, and the raw bytes of their batches.
func all(s *source) (frames []frame, raw []byte, err error) {
	for {
		b, err := s.next()
		if err != nil {
			return frames, raw, err
		}
		for _, f := range b.frames {
			frames = append(frames, f.clone())
		}
		raw = append(raw, b.raw...)
	}
}

// TestFramesSurviveAnyCutting: whatever the pieces that bytes come in, the same frames
// come out, in bare frames and in segments.
func TestFramesSurviveAnyCutting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		sizes := rapid.SliceOfN(rapid.OneOf(rapid.IntRange(0, 100), rapid.IntRange(0, 400_000)), 1, 6).Draw(t, "sizes")
		segments, packed := rapid.Bool().Draw(t, "segments"), rapid.Bool().Draw(t, "packed")
		random := rand.New(rand.NewPCG(seed, 1))
		var want []frame
		var sent []byte
		for i, n := range sizes {
			body := make([]byte, n)
			for j := range body {
				body[j] = byte(random.Uint32())
			}
			f := newFrame(5, 0, int16(i), opQuery, body)
			want = append(want, f)
			if segments {
				sent = appendSegments(sent, packed, f)
			} else {
				sent = append(sent, f...)
			}
		}
		s := newSource(&chunks{sent, random.IntN}, 1<<20, false)
		s.segments, s.packed = segments, packed
		got, raw, err := all(s)
		if err != io.EOF || len(got) != len(want) {
			t.Fatalf("%d frames, %v; want %d", len(got), err, len(want))
		}
		for i := range want {
			if !bytes.Equal(got[i], want[i]) {
				t.Fatalf("frame %d differs", i)
			}
		}
		if !segments && !bytes.Equal(raw, sent) {
			t.Fatal("the bytes differ")
		}
	})
}

// FuzzSource: no bytes make reading panic, loop, or take much more memory than they
// are; what comes out are frames of our versions, and raw is what came.
func FuzzSource(f *testing.F) {
	query := newFrame(4, 0, 1, opQuery, []byte("\x00\x00\x00\x08SELECT 1\x00\x01\x00"))
	f.Add([]byte(query), false, false, false)
	f.Add(appendSegments(nil, false, query, query), true, false, false)
	f.Add(appendSegments(nil, true, query), true, true, false)
	f.Add(appendSegment(appendSegment(nil, query[:9], false, true), query[9:], false, true), true, true, false)
	f.Add([]byte("\x16\x03\x01\x02\x00\x01\x00"), false, false, false)
	f.Add([]byte("\x84\x00\x00\x01\x08\x7f\xff\xff\xff"), false, false, true)
	f.Fuzz(func(t *testing.T, b []byte, segments, packed, response bool) {
		const limit = 1 << 16
		s := newSource(iotest.OneByteReader(bytes.NewReader(b)), limit, response)
		s.segments, s.packed = segments, packed
		frames, raw, err := all(s)
		var broken *protocolError
		if err != io.EOF && err != io.ErrUnexpectedEOF && !errors.As(err, &broken) {
			t.Fatalf("%v", err)
		}
		for _, fr := range frames {
			if v := fr.version(); v < minVersion || v > maxVersion || len(fr.body()) > limit {
				t.Fatalf("a frame of version %d with %d bytes", v, len(fr.body()))
			}
		}
		if !bytes.HasPrefix(b, raw) && !segments {
			t.Fatal("raw is not what came")
		}
		if len(s.buf) > keepBytes {
			t.Fatalf("%d bytes are kept for %d", len(s.buf), len(b))
		}
	})
}

// FuzzRequest: no body makes reading a request or an answer panic.
func FuzzRequest(f *testing.F) {
	f.Add(byte(4), byte(0), byte(opQuery), []byte("\x00\x00\x00\x08SELECT 1\x00\x01\x00"))
	f.Add(byte(5), byte(flagPayload), byte(opExecute), []byte("\x00\x01\x00\x07baggage\x00\x00\x00\x01x\x00\x02id\x00\x02id\x00\x01\x00\x00\x00\x01\x00\x01\x00\x00\x00\x01v"))
	f.Add(byte(4), byte(0), byte(opBatch), []byte("\x01\x00\x02\x00\x00\x00\x00\x01x\x00\x00\x01\x00\x02id\x00\x01\xff\xff\xff\xff\x00\x01\x00"))
	f.Add(byte(4), byte(flagCompressed), byte(opPrepare), []byte("\x00\x00\x00\x10\x00"))
	f.Add(byte(4), byte(0), byte(opStartup), []byte("\x00\x01\x00\x0bCOMPRESSION\x00\x03lz4"))
	f.Add(byte(4), byte(flagTracing|flagWarning), byte(opResult), []byte("0123456789abcdef\x00\x01\x00\x01w\x00\x00\x00\x02\x00\x00\x00\x01\x00\x00\x00\x01\x00\x01k\x00\x01t\x00\x04peer\x00\x10\x00\x00\x00\x01\x00\x00\x00\x04\x7f\x00\x00\x01"))
	f.Add(byte(5), byte(0), byte(opEvent), []byte("\x00\x0dSTATUS_CHANGE\x00\x02UP\x04\x7f\x00\x00\x01\x00\x00\x23\x52"))
	known := &statement{text: "SELECT a FROM system.peers", keyspace: "system", table: "peers", operation: "SELECT"}
	f.Fuzz(func(t *testing.T, version, flags, op byte, body []byte) {
		fr := newFrame(3+version%3, flags, 1, op, body)
		for _, algorithm := range []string{"", algorithmLZ4, algorithmSnappy} {
			plain, err := plainBody(fr, algorithm, 1<<20)
			if err != nil {
				continue
			}
			r := readRequest(fr, plain, func(id []byte) *statement {
				if len(id) == 2 {
					return known
				}
				return nil
			})
			r.resolve("k")
			withMetadata(fr, r, plain)
			a, err := readAnswer(fr, plain)
			if err != nil {
				continue
			}
			if _, err := (addresses{}).rows(a, &statement{}, pair{}); err == nil && op != opResult {
				continue
			}
			(addresses{}).event(a)
		}
	})
}
