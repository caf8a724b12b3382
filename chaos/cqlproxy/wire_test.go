package cqlproxy_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/datastax/go-cassandra-native-protocol/compression"
	"github.com/datastax/go-cassandra-native-protocol/compression/lz4"
	"github.com/datastax/go-cassandra-native-protocol/compression/snappy"
	"github.com/datastax/go-cassandra-native-protocol/frame"
	"github.com/datastax/go-cassandra-native-protocol/message"
	"github.com/datastax/go-cassandra-native-protocol/primitive"
	"github.com/datastax/go-cassandra-native-protocol/segment"
)

// wire is one end of a connection that speaks the protocol by another hand than the
// proxy's own: a client, or a scripted node.
type wire struct {
	conn     net.Conn
	version  primitive.ProtocolVersion
	packed   compression.Compressor
	frames   frame.RawCodec
	segments segment.Codec // nil: frames are bare
	inner    bytes.Buffer  // bytes of segments that no frame was made of
}

func newWire(conn net.Conn, version primitive.ProtocolVersion) *wire {
	return &wire{conn: conn, version: version, frames: frame.NewRawCodec()}
}

// agree sets compression and framing as they are after STARTUP.
func (w *wire) agree(compress string) {
	switch compress {
	case "lz4":
		w.packed = lz4.Compressor{}
	case "snappy":
		w.packed = snappy.Compressor{}
	}
	if w.version >= primitive.ProtocolVersion5 {
		w.segments = segment.NewCodecWithCompression(w.packed)
	} else {
		w.frames = frame.NewRawCodecWithCompression(w.packed)
	}
}

func (w *wire) send(stream int16, m message.Message) error {
	return w.sendFrame(frame.NewFrame(w.version, stream, m))
}

func (w *wire) sendFrame(f *frame.Frame) error {
	var b bytes.Buffer
	if w.packed != nil && w.segments == nil {
		f.SetCompress(true)
	}
	if err := w.frames.EncodeFrame(f, &b); err != nil {
		return err
	}
	if w.segments == nil {
		_, err := w.conn.Write(b.Bytes())
		return err
	}
	whole := b.Len() <= segment.MaxPayloadLength
	var out bytes.Buffer
	for b.Len() > 0 {
		payload := bytes.Clone(b.Next(segment.MaxPayloadLength))
		if err := w.segments.EncodeSegment(&segment.Segment{Header: &segment.Header{IsSelfContained: whole}, Payload: &segment.Payload{UncompressedData: payload}}, &out); err != nil {
			return err
		}
	}
	_, err := w.conn.Write(out.Bytes())
	return err
}

func (w *wire) receive() (*frame.Frame, error) {
	if w.segments == nil {
		return w.frames.DecodeFrame(w.conn)
	}
	for {
		if b := w.inner.Bytes(); len(b) >= 9 {
			if n := 9 + int(b[5])<<24 + int(b[6])<<16 + int(b[7])<<8 + int(b[8]); len(b) >= n {
				return w.frames.DecodeFrame(io.LimitReader(&w.inner, int64(n)))
			}
		}
		s, err := w.segments.DecodeSegment(w.conn)
		if err != nil {
			return nil, err
		}
		w.inner.Write(s.Payload.UncompressedData)
	}
}

// client is a wire from a client's side.
type client struct {
	*wire
	t *testing.T
}

// dial connects to a proxy or node, up to and with STARTUP.
func dial(t *testing.T, addr string, version primitive.ProtocolVersion, compress string) *client {
	t.Helper()
	c := connect(t, addr, version)
	options := map[string]string{"CQL_VERSION": "3.0.0"}
	if compress != "" {
		options["COMPRESSION"] = compress
	}
	if version < primitive.ProtocolVersion5 {
		c.agree(compress) // real nodes compress READY already; STARTUP itself never is
	}
	if m := c.ask(&message.Startup{Options: options}); m.GetOpCode() != primitive.OpCodeReady {
		t.Fatal("STARTUP was answered with", m)
	}
	c.agree(compress)
	return c
}

// connect connects, and no more.
func connect(t *testing.T, addr string, version primitive.ProtocolVersion) *client {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(60 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return &client{newWire(conn, version), t}
}

// ask sends a message on stream 1 and returns the answer to it.
func (c *client) ask(m message.Message) message.Message {
	c.t.Helper()
	answer, err := c.try(m)
	if err != nil {
		c.t.Fatal(err)
	}
	return answer
}

// try is ask, for what may fail.
func (c *client) try(m message.Message) (message.Message, error) {
	if err := c.send(1, m); err != nil {
		return nil, err
	}
	f, err := c.receive()
	if err != nil {
		return nil, err
	}
	if f.Header.StreamId != 1 {
		return nil, fmt.Errorf("the answer is on stream %d: %v", f.Header.StreamId, f)
	}
	return f.Body.Message, nil
}

// query asks for a statement at a consistency of ONE.
func (c *client) query(text string) message.Message {
	c.t.Helper()
	return c.ask(query(text))
}

func query(text string) *message.Query {
	return &message.Query{Query: text, Options: &message.QueryOptions{Consistency: primitive.ConsistencyLevelOne}}
}

// wholeSegment is a segment that says that it holds whole frames.
func wholeSegment(payload []byte) []byte {
	var b bytes.Buffer
	// Writing to a buffer can't fail, and the payload is short.
	_ = segment.NewCodec().EncodeSegment(&segment.Segment{Header: &segment.Header{IsSelfContained: true}, Payload: &segment.Payload{UncompressedData: payload}}, &b)
	return b.Bytes()
}
