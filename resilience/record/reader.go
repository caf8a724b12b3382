package record

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

// ErrFormat is the kind of error for text that is not a record. The message names
// the line.
var ErrFormat = errors.New("record: not a valid record")

// ErrCut matches the error of a record whose last line was cut off, by a crash for
// example. What came before it is whole. Also matches ErrFormat.
var ErrCut = fmt.Errorf("%w: the last line is cut off", ErrFormat)

// maxLine bounds a line, so that a file that is no record does not fill memory.
const maxLine = 1 << 20

// Reader reads a record call by call. It is not safe for concurrent use and needs no
// closing. The zero value is not usable.
type Reader struct {
	// Began is the time from which starts are counted.
	Began time.Time
	// Dropped is the number of missing calls, according to what was read so far.
	Dropped int64
	in      *bufio.Reader
	line    int
	// shift is the time from Began to the base time of the part that is being read.
	shift time.Duration
}

// NewReader reads the first line of a record.
func NewReader(r io.Reader) (*Reader, error) {
	rec := &Reader{in: bufio.NewReaderSize(r, 64<<10)}
	if err := rec.skipHole(); err != nil {
		return nil, fmt.Errorf("record: read line 1: %w", err)
	}
	line, err := rec.next()
	if err == io.EOF {
		return nil, fmt.Errorf("%w: line 1: empty; a record begins with %q", ErrFormat, header)
	}
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(line, header+" ") {
		return nil, fmt.Errorf("%w: line %d: begins with %.40q; want %q and a time", ErrFormat, rec.line, line, header)
	}
	if rec.Began, err = rec.base(line); err != nil {
		return nil, err
	}
	return rec, nil
}

// base reads a header.
func (r *Reader) base(line string) (time.Time, error) {
	began, err := time.Parse(time.RFC3339Nano, line[len(header)+1:])
	if err != nil {
		return began, fmt.Errorf("%w: line %d: %v", ErrFormat, r.line, err)
	}
	return began, nil
}

// skipHole skips zero bytes at the beginning. A file has them if it was truncated while its
// writer continued at the old offset.
func (r *Reader) skipHole() error {
	for {
		b, err := r.in.ReadByte()
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case b != 0:
			return r.in.UnreadByte()
		}
	}
}

// Next returns the next call, and io.EOF after the last. Calls come in the order
// in which they ended.
func (r *Reader) Next() (Call, error) {
	for {
		line, err := r.next()
		if err != nil {
			return Call{}, err
		}
		switch {
		case strings.HasPrefix(line, header+" "):
			began, err := r.base(line)
			if err != nil {
				return Call{}, err
			}
			r.shift = began.Sub(r.Began)
		case strings.HasPrefix(line, gap):
			n, err := strconv.ParseInt(line[len(gap):], 10, 64)
			if err != nil || n < 1 {
				return Call{}, fmt.Errorf("%w: line %d: %q is no number of dropped calls", ErrFormat, r.line, line[len(gap):])
			}
			r.drop(n)
		default:
			c, err := parse(line)
			if err != nil {
				return Call{}, fmt.Errorf("%w: line %d: %w", ErrFormat, r.line, err)
			}
			if c.Start, err = r.since(c.Start); err != nil {
				return Call{}, err
			}
			return c, nil
		}
	}
}

// since returns a start, counted from the record's beginning. It is never negative, even if
// the clock was set back before the part was begun.
func (r *Reader) since(start time.Duration) (time.Duration, error) {
	if r.shift > 0 && start > math.MaxInt64-r.shift {
		return 0, fmt.Errorf("%w: line %d: start: it is more than 292 years after the record's beginning", ErrFormat, r.line)
	}
	return max(0, start+r.shift), nil
}

func (r *Reader) drop(n int64) {
	r.Dropped += min(n, math.MaxInt64-r.Dropped)
}

// ReadAll reads a whole record. With an error that matches ErrFormat, which includes ErrCut,
// it also returns the calls before that place.
func ReadAll(in io.Reader) (Record, error) {
	r, err := NewReader(in)
	if err != nil {
		return Record{}, err
	}
	rec := Record{Began: r.Began}
	for {
		c, err := r.Next()
		switch {
		case err == nil:
			rec.Calls = append(rec.Calls, c)
			continue
		case err == io.EOF:
			err = nil
		case !errors.Is(err, ErrFormat):
			return Record{}, err
		}
		slices.SortStableFunc(rec.Calls, func(a, b Call) int { return cmp.Compare(a.Start, b.Start) })
		rec.Dropped = r.Dropped
		return rec, err
	}
}

// next returns the next line without its end. It skips empty lines and lines that begin with
// "#". If a line was cut off by a crash and continues with the header of the next part, it
// counts a dropped call and returns the header.
func (r *Reader) next() (string, error) {
	for {
		line, err := r.read()
		if err != nil {
			return "", err
		}
		line = strings.TrimSuffix(line, "\r")
		if line == "" || line[0] == '#' {
			continue
		}
		if i := strings.Index(line, header+" "); i > 0 {
			r.drop(1)
			line = line[i:]
		}
		return line, nil
	}
}

// read returns a line without its line feed.
func (r *Reader) read() (string, error) {
	r.line++
	var line []byte
	for {
		part, err := r.in.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			return string(line[:len(line)-1]), nil
		case err == io.EOF && len(line) == 0:
			return "", io.EOF
		case err == io.EOF:
			return "", fmt.Errorf("%w: line %d", ErrCut, r.line)
		case !errors.Is(err, bufio.ErrBufferFull):
			return "", fmt.Errorf("record: read line %d: %w", r.line, err)
		case len(line) > maxLine:
			return "", fmt.Errorf("%w: line %d: longer than %d bytes", ErrFormat, r.line, maxLine)
		}
	}
}

// fields is the number of fields of a line, without the optional patience.
const fields = 8

func parse(line string) (c Call, err error) {
	f := strings.Split(line, " ")
	if len(f) != fields && len(f) != fields+1 {
		return c, fmt.Errorf("%d fields; want %d, or %d with the caller's patience", len(f), fields, fields+1)
	}
	if c.Start, err = micros(f[0]); err != nil {
		return c, fmt.Errorf("start: %w", err)
	}
	if c.Dependency, err = name(f[1]); err != nil {
		return c, fmt.Errorf("dependency: %w", err)
	}
	if c.Operation, err = name(f[2]); err != nil {
		return c, fmt.Errorf("operation: %w", err)
	}
	if err := c.Criticality.UnmarshalText([]byte(f[3])); err != nil {
		return c, fmt.Errorf("criticality: %q is not a class", f[3])
	}
	if f[4] != "none" {
		c.Answered = true
		if c.Source, err = source(f[4]); err != nil {
			return c, err
		}
	}
	if c.Cause = Cause(f[5]); !slices.Contains(causes, c.Cause) {
		return c, fmt.Errorf("cause: %q is not known", f[5])
	}
	if c.Took, err = micros(f[6]); err != nil {
		return c, fmt.Errorf("took: %w", err)
	}
	if len(f) > fields {
		if c.Patience, err = micros(f[fields]); err != nil {
			return c, fmt.Errorf("patience: %w", err)
		}
	}
	if f[7] == "-" {
		return c, nil
	}
	for text := range strings.SplitSeq(f[7], ",") {
		a, err := attempt(text)
		if err != nil {
			return c, fmt.Errorf("attempt %q: %w", text, err)
		}
		c.Attempts = append(c.Attempts, a)
	}
	return c, nil
}

var causes = []Cause{None, Open, Full, RateLimited, Throttled, Closed, Timeout, Canceled, Failed}

// maxMicros is what a time.Duration can hold.
const maxMicros = int64(1<<63-1) / int64(time.Microsecond)

func micros(text string) (time.Duration, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > maxMicros {
		return 0, fmt.Errorf("%q is no number of microseconds", text)
	}
	return time.Duration(n) * time.Microsecond, nil
}

func name(text string) (string, error) {
	if !strings.HasPrefix(text, `"`) {
		if text == "" {
			return "", errors.New("is empty; an empty name is quoted")
		}
		return text, nil
	}
	n, err := strconv.Unquote(text)
	if err != nil {
		return "", fmt.Errorf("%s: bad quotes", text)
	}
	return n, nil
}

func source(text string) (resilience.Source, error) {
	for s := resilience.Live; s <= resilience.Static; s++ {
		if s.String() == text {
			return s, nil
		}
	}
	return 0, fmt.Errorf("source: %q is not known", text)
}

func attempt(text string) (a Attempt, err error) {
	if text == "" {
		return a, errors.New("is empty")
	}
	i := strings.IndexByte(letters, text[0])
	if i < 0 {
		return a, fmt.Errorf("outcome %q is none of %s", text[0], letters)
	}
	a.Outcome = resilience.Outcome(i)
	text, a.Cut = strings.CutSuffix(text[1:], string(cutMark))
	text, a.Hedge = strings.CutSuffix(text, string(hedgeMark))
	text, after, asked := strings.Cut(text, string(afterMark))
	if asked {
		if a.After, err = micros(after); err != nil {
			return a, err
		}
	}
	start, took, ok := strings.Cut(text, "+")
	if !ok {
		return a, errors.New("has no +")
	}
	if a.Start, err = micros(start); err != nil {
		return a, err
	}
	a.Took, err = micros(took)
	return a, err
}
