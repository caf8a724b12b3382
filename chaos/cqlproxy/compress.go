package cqlproxy

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/datastax/go-cassandra-native-protocol/compression/lz4"
	"github.com/datastax/go-cassandra-native-protocol/compression/snappy"
)

// Names of compression in STARTUP.
const (
	algorithmLZ4    = "lz4"
	algorithmSnappy = "snappy"
)

// plainBody returns a frame's body, decompressed. It is never longer than limit, whatever
// length the body claims.
func plainBody(f frame, algorithm string, limit int) ([]byte, error) {
	b := f.body()
	if f.flags()&flagCompressed == 0 {
		return b, nil
	}
	var size int
	switch algorithm {
	case algorithmLZ4:
		if len(b) < 4 {
			return nil, errors.New("the compressed body is shorter than its length")
		}
		size = int(binary.BigEndian.Uint32(b))
	case algorithmSnappy:
		n, read := binary.Uvarint(b)
		if read <= 0 || n > 1<<32 {
			return nil, errors.New("the compressed body has no length")
		}
		size = int(n)
	default:
		return nil, errors.New("the body is compressed, and no compression was agreed on")
	}
	if size > limit {
		return nil, fmt.Errorf("the compressed body claims %d bytes, more than %d", size, limit)
	}
	// Neither algorithm turns one byte into more than 255. A body that claims to be longer
	// is lying, and must not make the proxy allocate memory.
	if size > 255*len(b)+64 {
		return nil, fmt.Errorf("the compressed body of %d bytes claims %d", len(b), size)
	}
	var out []byte
	err := unpack(func() (err error) {
		if algorithm == algorithmLZ4 {
			out, err = lz4.Compressor{}.DecompressFrame(b)
		} else {
			out, err = snappy.Compressor{}.DecompressFrame(b)
		}
		return err
	})
	return out, err
}

// unpack runs a library's decoder on bytes from the network, and turns a panic of it into
// an error.
func unpack(decode func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("damaged: %v", r)
		}
	}()
	return decode()
}
