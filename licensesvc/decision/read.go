package decision

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/backstay-go/backstay/licensesvc/codec"
)

// maxLine limits a line, so that a damaged one does not fill the memory.
const maxLine = 64 << 10

// Filter selects records. An empty field selects all.
type Filter struct {
	Member, License, Command, Outcome, Reason string
	// Since and Until limit Record.At: not before Since, and before Until.
	Since, Until time.Time
}

func (f Filter) match(r Record) bool {
	return (f.Member == "" || f.Member == r.Member) && (f.License == "" || f.License == r.License) &&
		(f.Command == "" || f.Command == r.Command) && (f.Outcome == "" || f.Outcome == r.Outcome) && (f.Reason == "" || f.Reason == r.Reason) &&
		!r.At.Before(f.Since) && (f.Until.IsZero() || r.At.Before(f.Until))
}

// Summary says what a read found.
type Summary struct {
	// Read is the number of records that were read, Matched the number that the filter selected.
	Read, Matched int
	// Damaged is the number of lines that can't be read, such as the last one before a crash.
	// Newer is the number of records that a newer program wrote.
	Damaged, Newer int
}

// Reader reads a log, also while a service writes it. It is safe for concurrent use and need not
// be closed.
type Reader struct {
	dir   string
	codec *codec.Codec[Record]
}

// NewReader returns a reader of the log in a folder.
func NewReader(dir string) (*Reader, error) {
	c, err := newCodec()
	if err != nil {
		return nil, err
	}
	return &Reader{dir, c}, nil
}

// Read calls each with every record that the filter selects, roughly the oldest first. It ends
// with the error of each. It is an error that matches fs.ErrNotExist if there is no log.
func (r *Reader) Read(ctx context.Context, f Filter, each func(Record) error) (Summary, error) {
	var sum Summary
	all, err := segments(r.dir)
	if err != nil {
		return sum, fmt.Errorf("decision: %w", err)
	}
	for _, s := range all {
		// A clock that was set back may have put a later record before an earlier one.
		if !f.Since.IsZero() && s.last.Before(f.Since.Add(-time.Hour)) {
			continue
		}
		if err := r.segment(ctx, s.path, f, each, &sum); err != nil {
			return sum, err
		}
	}
	return sum, nil
}

func (r *Reader) segment(ctx context.Context, path string, f Filter, each func(Record) error, sum *Summary) error {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // Removed meanwhile, because of its age.
	}
	if err != nil {
		return fmt.Errorf("decision: %w", err)
	}
	defer file.Close()
	lines := bufio.NewReaderSize(file, maxLine)
	var records []Record
	for n := 0; ; n++ {
		if n%256 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		line, err := lines.ReadSlice('\n')
		switch {
		case errors.Is(err, io.EOF):
			if len(line) > 0 {
				sum.Damaged++
			}
			return nil
		case errors.Is(err, bufio.ErrBufferFull):
			sum.Damaged++
			if err := skipLine(lines); err != nil {
				return nil // The end of the file.
			}
			continue
		case err != nil:
			return fmt.Errorf("decision: %w", err)
		}
		records, err = parseLine(r.codec, records[:0], line[:len(line)-1])
		switch {
		case errors.Is(err, codec.ErrNewer):
			sum.Newer++
		case err != nil:
			sum.Damaged++
		}
		for _, record := range records {
			sum.Read++
			if !f.match(record) {
				continue
			}
			sum.Matched++
			if err := each(record); err != nil {
				return err
			}
		}
	}
}

func skipLine(lines *bufio.Reader) error {
	for {
		_, err := lines.ReadSlice('\n')
		if !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}
