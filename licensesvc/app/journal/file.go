package journal

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
)

// The file begins with magic. Records follow: the length of the payload, the CRC-32C of the
// payload, the CRC-32C of these two fields (4 bytes each, big endian), and the payload (JSON).
// The head has its own checksum, because a changed length would look like an incomplete last
// record.
const (
	magic      = "BSJRNL1\n"
	recordHead = 12
	// compactAt is the size from which a journal is rewritten if most of its entries are done.
	compactAt = 1 << 20
)

const (
	opPut  = "put"
	opDone = "done"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type record struct {
	Op string `json:"op"`
	Entry
}

func (r record) encode() ([]byte, error) {
	payload, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("journal: entry %s: %w", r.ID, err)
	}
	if len(payload) > maxRecord {
		return nil, fmt.Errorf("%w: entry %s has %d bytes, at most %d fit", ErrFull, r.ID, len(payload), maxRecord)
	}
	b := make([]byte, recordHead, recordHead+len(payload))
	binary.BigEndian.PutUint32(b, uint32(len(payload)))
	binary.BigEndian.PutUint32(b[4:], crc32.Checksum(payload, castagnoli))
	binary.BigEndian.PutUint32(b[8:], crc32.Checksum(b[:8], castagnoli))
	return append(b, payload...), nil
}

// pending is the set of entries that are not done.
type pending struct {
	entries map[string]Entry
	// bytes is about how much of a file the entries need, kept so that nobody has to count.
	bytes int64
}

func (p *pending) apply(r record) {
	if old, ok := p.entries[r.ID]; ok {
		p.bytes -= old.bytes()
	}
	switch r.Op {
	case opPut:
		p.entries[r.ID] = r.Entry
		p.bytes += r.Entry.bytes()
	case opDone:
		delete(p.entries, r.ID)
	}
}

// bytes is about how much of a file the entry needs: its data are written in base 64.
func (e Entry) bytes() int64 { return int64(len(e.Data))*4/3 + 256 }

// scan reads the file, cuts off an incomplete last record, and leaves the file ready for new
// records.
func scan(file *os.File) (pending, int64, error) {
	pending := pending{entries: map[string]Entry{}}
	info, err := file.Stat()
	if err != nil {
		return pending, 0, err
	}
	// A crash while the file was made may have left part of the magic.
	if info.Size() < int64(len(magic)) {
		head := make([]byte, info.Size())
		if _, err := io.ReadFull(file, head); err != nil {
			return pending, 0, err
		}
		if string(head) != magic[:len(head)] {
			return pending, 0, damaged(0, "this is not a journal")
		}
		if _, err := file.WriteAt([]byte(magic), 0); err != nil {
			return pending, 0, err
		}
		return pending, int64(len(magic)), file.Sync()
	}
	in := bufio.NewReader(io.NewSectionReader(file, 0, info.Size()))
	head := make([]byte, len(magic))
	if _, err := io.ReadFull(in, head); err != nil {
		return pending, 0, err
	}
	if string(head) != magic {
		return pending, 0, damaged(0, "this is not a journal")
	}
	size := int64(len(magic))
	for size < info.Size() {
		r, n, err := next(in, info.Size()-size)
		if err == nil {
			pending.apply(r)
			size += n
			continue
		}
		if !errors.Is(err, errTorn) {
			return pending, 0, damaged(size, err.Error())
		}
		// A record that was being written when the process ended was never acknowledged.
		if err := file.Truncate(size); err != nil {
			return pending, 0, err
		}
		return pending, size, file.Sync()
	}
	return pending, size, nil
}

// errTorn: the record is incomplete, and nothing follows it.
var errTorn = errors.New("torn")

func next(in io.Reader, left int64) (record, int64, error) {
	if left < recordHead {
		return record{}, 0, errTorn
	}
	head := make([]byte, recordHead)
	if _, err := io.ReadFull(in, head); err != nil {
		return record{}, 0, err
	}
	if crc32.Checksum(head[:8], castagnoli) != binary.BigEndian.Uint32(head[8:]) {
		// File systems may extend a file with zeros before its data is there.
		rest, err := io.ReadAll(in)
		if err != nil {
			return record{}, 0, err
		}
		for _, b := range append(head, rest...) {
			if b != 0 {
				return record{}, 0, errors.New("the head of a record, whose checksum does not match")
			}
		}
		return record{}, 0, errTorn
	}
	length := int64(binary.BigEndian.Uint32(head))
	if length > maxRecord {
		return record{}, 0, fmt.Errorf("a record of %d bytes", length)
	}
	if length > left-recordHead {
		return record{}, 0, errTorn
	}
	payload := make([]byte, length)
	if _, err := io.ReadFull(in, payload); err != nil {
		return record{}, 0, err
	}
	if crc32.Checksum(payload, castagnoli) != binary.BigEndian.Uint32(head[4:]) {
		if left == recordHead+length {
			return record{}, 0, errTorn
		}
		return record{}, 0, errors.New("a record whose checksum does not match, with data after it")
	}
	var r record
	if err := json.Unmarshal(payload, &r); err != nil {
		return record{}, 0, fmt.Errorf("a record that can't be read: %w", err)
	}
	if r.Op != opPut && r.Op != opDone || r.ID == "" {
		return record{}, 0, fmt.Errorf("a record %q for %q, which this version does not know", r.Op, r.ID)
	}
	return r, recordHead + length, nil
}

func damaged(at int64, what string) error {
	return fmt.Errorf("%w at byte %d: %s; restore the file from a backup, or move it away and start again to give up what it promised", ErrDamaged, at, what)
}

// compactable reports whether a rewrite would at least halve the file.
func (j *Journal) compactable() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.pending.bytes < j.size/2
}

// compact writes the pending entries to a new file and replaces the old one with it. After a
// crash, one of the two is there.
func (j *Journal) compact() error {
	fresh, err := openLocked(j.path + ".new")
	if err != nil {
		return err
	}
	size, err := j.writeTo(fresh)
	if err == nil {
		err = os.Rename(fresh.Name(), j.path)
	}
	if err == nil {
		err = syncDir(j.path)
	}
	if err != nil {
		return errors.Join(err, fresh.Close())
	}
	old := j.file
	j.file, j.size = fresh, size
	return old.Close()
}

func (j *Journal) writeTo(file *os.File) (int64, error) {
	if err := file.Truncate(0); err != nil {
		return 0, err
	}
	out := []byte(magic)
	for _, e := range j.Pending() {
		b, err := record{Op: opPut, Entry: e}.encode()
		if err != nil {
			return 0, err
		}
		out = append(out, b...)
	}
	if _, err := file.WriteAt(out, 0); err != nil {
		return 0, err
	}
	return int64(len(out)), file.Sync()
}

func syncDir(path string) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
