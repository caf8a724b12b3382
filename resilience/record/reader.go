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

// ErrCut matches the fault of a record whose last line was cut off, by a crash for
// example. It also matches ErrFormat.
var ErrCut = fmt.Errorf("%w: the last line is cut off", ErrFormat)

// maxLine bounds a line, so that a file that is no record does not fill memory.
const maxLine = 1 << 20

// maxFaults bounds the list of lines that were left out.
const maxFaults = 20

// Reader reads a record call by call. A line that can't be read is left out and named in
// Faults; the reader goes on with the next one. It is not safe for concurrent use and
// needs no closing. The zero value is not usable.
type Reader struct {
	// Began is the time from which starts are counted.
	Began time.Time
	// Dropped is the number of missing calls in what was read so far: those that the
	// record itself reports, and one for each line that was left out.
	Dropped int64
	// Faults says for each line that was left out what is wrong with it. The errors match
	// ErrFormat; the first 20 are kept.
	Faults []error
	in     *bufio.Reader
	line   int
	// shift is the time from Began to the base time of the part that is being read.
	shift time.Duration
	// lost is set while the base time is not known, after a header that can't be read.
	lost bool
}

// NewReader reads a record up to its first header. What is before it is left out. If there
// is no header, the error says what is wrong with the first line.
func NewReader(r io.Reader) (*Reader, error) {
	rec := &Reader{in: bufio.NewReaderSize(r, 64<<10)}
	if err := rec.skipHole(); err != nil {
		return nil, fmt.Errorf("record: read line 1: %w", err)
	}
	for {
		line, err := rec.next()
		switch {
		case err == io.EOF && len(rec.Faults) > 0:
			return nil, rec.Faults[0]
		case err == io.EOF:
			return nil, fmt.Errorf("%w: line 1: empty; a record begins with %q", ErrFormat, header)
		case err != nil:
			return nil, err
		case !strings.HasPrefix(line, header+" "):
			rec.leaveOut(fmt.Errorf("%w: line %d: begins with %.40q; want %q and a time", ErrFormat, rec.line, line, header))
			continue
		}
		if rec.Began, err = rec.base(line); err != nil {
			rec.leaveOut(err)
			continue
		}
		return rec, nil
	}
}

// leaveOut notes that a line can't be read.
func (r *Reader) leaveOut(err error) {
	r.drop(1)
	if len(r.Faults) < maxFaults {
		r.Faults = append(r.Faults, err)
	}
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
// in which they ended. Other errors are those of the underlying reader.
func (r *Reader) Next() (Call, error) {
	for {
		line, err := r.next()
		if err != nil {
			return Call{}, err
		}
		c, ok, err := r.understand(line)
		switch {
		case err != nil:
			r.leaveOut(err)
		case ok:
			return c, nil
		}
	}
}

// understand reads a line; ok is set if it is a call.
func (r *Reader) understand(line string) (c Call, ok bool, err error) {
	switch {
	case strings.HasPrefix(line, header+" "):
		began, err := r.base(line)
		r.lost = err != nil
		if err == nil {
			r.shift = began.Sub(r.Began)
		}
		return c, false, err
	case r.lost:
		return c, false, fmt.Errorf("%w: line %d: the header before it can't be read, so its time is not known", ErrFormat, r.line)
	case strings.HasPrefix(line, gap):
		n, err := strconv.ParseInt(line[len(gap):], 10, 64)
		if err != nil || n < 1 {
			return c, false, fmt.Errorf("%w: line %d: %q is no number of dropped calls", ErrFormat, r.line, line[len(gap):])
		}
		r.drop(n)
		return c, false, nil
	}
	if c, err = parse(line); err != nil {
		return c, false, fmt.Errorf("%w: line %d: %w", ErrFormat, r.line, err)
	}
	c.Start, err = r.since(c.Start)
	return c, err == nil, err
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

// ReadAll reads a whole record. Record.Faults names the lines that were left out. The
// error is that of a text without any header, or the reader's own; with the latter
// ReadAll returns what came before it.
func ReadAll(in io.Reader) (Record, error) {
	r, err := NewReader(in)
	if err != nil {
		return Record{}, err
	}
	rec := Record{Began: r.Began}
	for {
		c, err := r.Next()
		if err == nil {
			rec.Calls = append(rec.Calls, c)
			continue
		}
		if err == io.EOF {
			err = nil
		}
		slices.SortStableFunc(rec.Calls, func(a, b Call) int { return cmp.Compare(a.Start, b.Start) })
		rec.Dropped, rec.Faults = r.Dropped, r.Faults
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

// read returns a line without its line feed. It leaves out lines that are cut off or too
// long.
func (r *Reader) read() (string, error) {
	r.line++
	var line []byte
	long := false
	for {
		part, err := r.in.ReadSlice('\n')
		if long = long || len(line)+len(part) > maxLine; !long {
			line = append(line, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case err != nil && err != io.EOF:
			return "", fmt.Errorf("record: read line %d: %w", r.line, err)
		case long:
			r.leaveOut(fmt.Errorf("%w: line %d: longer than %d bytes", ErrFormat, r.line, maxLine))
			return "", err
		case err == nil:
			return string(line[:len(line)-1]), nil
		case len(line) > 0:
			r.leaveOut(fmt.Errorf("%w: line %d", ErrCut, r.line))
			return "", io.EOF
		default:
			return "", io.EOF
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
