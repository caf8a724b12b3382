package cqlproxy

import (
	"encoding/binary"
	"fmt"
)

// The protocol versions that the proxy speaks.
const (
	minVersion = 3
	maxVersion = 5
)

// headerBytes is the length of a frame's header.
const headerBytes = 9

// Opcodes of native_protocol_v5.spec, section 2.4.
const (
	opError        = 0x00
	opStartup      = 0x01
	opReady        = 0x02
	opAuthenticate = 0x03
	opOptions      = 0x05
	opQuery        = 0x07
	opResult       = 0x08
	opPrepare      = 0x09
	opExecute      = 0x0A
	opRegister     = 0x0B
	opEvent        = 0x0C
	opBatch        = 0x0D
	opAuthResponse = 0x0F
)

// Flags of a header.
const (
	flagCompressed = 0x01
	flagTracing    = 0x02
	flagPayload    = 0x04
	flagWarning    = 0x08
)

// frame is a message with its header, as versions 3 and 4 send it; version 5 calls it an
// envelope. It is at least headerBytes long.
type frame []byte

func (f frame) version() int  { return int(f[0] & 0x7f) }
func (f frame) flags() byte   { return f[1] }
func (f frame) stream() int16 { return int16(binary.BigEndian.Uint16(f[2:])) }
func (f frame) op() byte      { return f[4] }
func (f frame) body() []byte  { return f[headerBytes:] }

func (f frame) clone() frame { return append(frame(nil), f...) }

// onStream returns a copy of the frame with another stream id.
func (f frame) onStream(id int16) frame {
	c := f.clone()
	binary.BigEndian.PutUint16(c[2:], uint16(id))
	return c
}

// newFrame makes a frame. version includes the bit that says the direction.
func newFrame(version byte, flags byte, stream int16, op byte, body []byte) frame {
	f := make(frame, headerBytes, headerBytes+len(body))
	f[0], f[1], f[4] = version, flags, op
	binary.BigEndian.PutUint16(f[2:], uint16(stream))
	binary.BigEndian.PutUint32(f[5:], uint32(len(body)))
	return append(f, body...)
}

// protocolError is a violation of the protocol after which the connection cannot go on.
type protocolError struct {
	version int // that the peer spoke, if it is another one than ours; else 0
	// offers says that this is the first request of a client that looks for a common
	// version, as drivers do when they begin.
	offers bool
	stream int16
	text   string
}

func (e *protocolError) Error() string { return e.text }

// split returns the first frame of b. If need is 0, the frame is complete; otherwise b must
// have need bytes before more can be said.
func split(b []byte, limit int, response bool) (f frame, need int, err *protocolError) {
	if len(b) == 0 {
		return nil, headerBytes, nil
	}
	if v := int(b[0] & 0x7f); v < minVersion || v > maxVersion {
		return nil, 0, &protocolError{version: v, offers: offers(b), stream: streamOf(b), text: fmt.Sprintf("Invalid or unsupported protocol version (%d); supported versions are (3/v3, 4/v4, 5/v5)", v)}
	}
	if is := b[0]&0x80 != 0; is != response {
		return nil, 0, &protocolError{stream: streamOf(b), text: fmt.Sprintf("Wrong protocol direction: the frame's version byte is 0x%02x", b[0])}
	}
	if len(b) < headerBytes {
		return nil, headerBytes, nil
	}
	n := int(binary.BigEndian.Uint32(b[5:]))
	if n > limit {
		return nil, 0, &protocolError{stream: streamOf(b), text: fmt.Sprintf("Request is too big: length %d exceeds maximum allowed length %d", n, limit)}
	}
	if n += headerBytes; len(b) < n {
		return nil, n, nil
	}
	return frame(b[:n:n]), 0, nil
}

// offers reports whether a frame, of any version, is one with which a client begins:
// OPTIONS or STARTUP.
func offers(b []byte) bool {
	op := 4
	if b[0] < minVersion {
		op = 3
	}
	return b[0]&0x80 == 0 && len(b) > op && (b[op] == opOptions || b[op] == opStartup)
}

// streamOf returns the stream id in a header. The header may be incomplete, or of version 1
// or 2, where the id is one byte.
func streamOf(b []byte) int16 {
	switch {
	case len(b) >= 3 && b[0]&0x7f < minVersion:
		return int16(int8(b[2]))
	case len(b) >= 4:
		return int16(binary.BigEndian.Uint16(b[2:]))
	}
	return 0
}
