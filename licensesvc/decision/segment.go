package decision

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/backstay-go/backstay/licensesvc/codec"
)

// A log is a folder of segments, whose names count up. A segment is a text file with one record
// per line: the CRC-32C of what follows the space after it (eight hexadecimal digits), the version
// of the record (decision@1), and its JSON.
const (
	prefix, suffix = "decisions-", ".jsonl"
	checksum       = 8
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksumOf(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// errDamaged: a line was cut off, or changed.
var errDamaged = errors.New("decision: damaged")

func appendLine(out []byte, c *codec.Codec[Record], r Record) ([]byte, error) {
	stored, err := c.Encode(name, r)
	if err != nil {
		return out, err
	}
	begin := len(out)
	out = append(out, "00000000 "...) // The checksum is of what follows.
	text := len(out)
	out = append(append(append(out, stored.Version().String()...), ' '), stored.Data...)
	var sum [4]byte
	binary.BigEndian.PutUint32(sum[:], checksumOf(out[text:]))
	hex.Encode(out[begin:], sum[:])
	return append(out, '\n'), nil
}

func parseLine(c *codec.Codec[Record], records []Record, line []byte) ([]Record, error) {
	if len(line) < checksum+1 || line[checksum] != ' ' {
		return records, errDamaged
	}
	sum, err := strconv.ParseUint(string(line[:checksum]), 16, 32)
	line = line[checksum+1:]
	if err != nil || uint32(sum) != checksumOf(line) {
		return records, errDamaged
	}
	version, data, _ := bytes.Cut(line, []byte(" "))
	typ, number, _ := strings.Cut(string(version), "@")
	schema, err := strconv.Atoi(number)
	if err != nil {
		return records, errDamaged
	}
	return c.Decode(records, codec.Record{Type: typ, Schema: schema, Data: data})
}

// segment is a file of the log.
type segment struct {
	path   string
	number int
	bytes  int64
	last   time.Time // of its last record, roughly
}

// segments returns the files of a log, the oldest first.
func segments(dir string) ([]segment, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var all []segment
	for _, e := range entries {
		number, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(e.Name(), prefix), suffix))
		if err != nil || e.Name() != segmentName(number) {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // The log removed it meanwhile.
		}
		if err != nil {
			return nil, err
		}
		all = append(all, segment{filepath.Join(dir, e.Name()), number, info.Size(), info.ModTime()})
	}
	slices.SortFunc(all, func(a, b segment) int { return a.number - b.number })
	return all, nil
}

func segmentName(number int) string { return fmt.Sprintf("%s%09d%s", prefix, number, suffix) }
