package record

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

// ErrOptions is the kind of error for a Writer that can't be made.
var ErrOptions = errors.New("record: invalid options")

// defaultMaxBytes bounds a record, so that recording an incident does not cause
// the next one by filling the disk.
const defaultMaxBytes = 256 << 20

// Options says how a Writer writes.
type Options struct {
	// MaxBytes bounds what is written; later calls are dropped and counted. Zero:
	// 256 MiB. Negative: an error.
	MaxBytes int64
	_        struct{}
}

// Writer writes one line for each call that its guards make. Add it to guards with
// resilience.WithListener. It is safe for concurrent use, and buffers: lines reach
// the underlying writer at Flush and Close, or when 64 KiB are full. Who made it
// closes it; calls that end later are dropped and counted. The zero value is not
// of use. It holds a lock while the underlying writer writes: give it a file, not
// a connection.
type Writer struct {
	base time.Time

	mu      sync.Mutex
	out     *bufio.Writer
	line    []byte
	left    int64
	calls   int64
	dropped int64
	err     error
	closed  bool
}

// NewWriter begins a record on w.
func NewWriter(w io.Writer, o Options) (*Writer, error) {
	switch {
	case w == nil:
		return nil, fmt.Errorf("%w: the writer is nil", ErrOptions)
	case o.MaxBytes < 0:
		return nil, fmt.Errorf("%w: MaxBytes is %d; use 0 for %d, or more", ErrOptions, o.MaxBytes, int64(defaultMaxBytes))
	case o.MaxBytes == 0:
		o.MaxBytes = defaultMaxBytes
	}
	rec := &Writer{base: time.Now(), out: bufio.NewWriterSize(w, 64<<10), left: o.MaxBytes}
	rec.put([]byte(header + " " + rec.base.UTC().Format(time.RFC3339Nano) + "\n"))
	return rec, rec.err
}

// entry is a call that runs. The call's context carries it.
type entry struct {
	start time.Time
	class resilience.Criticality

	mu       sync.Mutex
	over     bool
	attempts []Attempt
}

// entryKey finds a writer's entry in a context.
type entryKey struct{ w *Writer }

// Handle implements resilience.Listener.
func (w *Writer) Handle(ctx context.Context, e resilience.Event) context.Context {
	switch e.Kind {
	case resilience.CallStarted:
		return context.WithValue(ctx, entryKey{w}, &entry{start: time.Now(), class: e.Criticality})
	case resilience.AttemptEnded:
		if c, ok := ctx.Value(entryKey{w}).(*entry); ok {
			c.add(e)
		}
	case resilience.CallEnded:
		if c, ok := ctx.Value(entryKey{w}).(*entry); ok {
			w.end(c, e)
		}
	}
	return nil
}

func (c *entry) add(e resilience.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	began := time.Since(c.start) - e.Took
	c.attempts = append(c.attempts, Attempt{Outcome: e.Verdict.Outcome, Start: max(0, began), Took: e.Took, Hedge: e.Hedged})
}

func (w *Writer) end(c *entry, e resilience.Event) {
	c.mu.Lock()
	c.over = true
	call := Call{
		Start: c.start.Sub(w.base), Dependency: e.Dependency, Operation: e.Operation, Criticality: c.class,
		Answered: e.Err == nil, Source: e.Source, Cause: causeOf(e.Err), Took: e.Took, Attempts: c.attempts,
	}
	c.mu.Unlock()
	if e.Err == nil {
		call.Cause = causeOf(e.Cause)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.line = appendCall(w.line[:0], call)
	if w.put(w.line) {
		w.calls++
	} else {
		w.dropped++
	}
}

// put writes a line, unless there is no room or nothing can be written any more.
func (w *Writer) put(line []byte) bool {
	if w.closed || w.err != nil || int64(len(line)) > w.left {
		w.left = min(w.left, 0) // a later, shorter line must not follow a gap
		return false
	}
	w.left -= int64(len(line))
	if _, err := w.out.Write(line); err != nil {
		w.err = fmt.Errorf("record: write: %w", err)
		return false
	}
	return true
}

// Flush passes on what is buffered. It returns the first error of writing.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.flushLocked()
}

func (w *Writer) flushLocked() error {
	if w.err == nil {
		if err := w.out.Flush(); err != nil {
			w.err = fmt.Errorf("record: write: %w", err)
		}
	}
	return w.err
}

// Close flushes and ends the record. It does not close the underlying writer.
// Closing twice does nothing more.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	return w.flushLocked()
}

// Counts returns how many calls were written, and how many dropped: for want of
// room, after an error of writing, or after Close.
func (w *Writer) Counts() (written, dropped int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.calls, w.dropped
}

const header = "backstay-record 1"

// letters are the outcomes in a line.
const letters = "sfoi"

// appendCall appends a call's line.
func appendCall(b []byte, c Call) []byte {
	b = strconv.AppendInt(b, c.Start.Microseconds(), 10)
	b = appendName(append(b, ' '), c.Dependency)
	b = appendName(append(b, ' '), c.Operation)
	b = append(append(b, ' '), c.Criticality.String()...)
	source := "none"
	if c.Answered {
		source = c.Source.String()
	}
	b = append(append(b, ' '), source...)
	b = append(append(b, ' '), c.Cause...)
	b = strconv.AppendInt(append(b, ' '), c.Took.Microseconds(), 10)
	b = append(b, ' ')
	for i, a := range c.Attempts {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, letters[a.Outcome])
		b = strconv.AppendInt(b, a.Start.Microseconds(), 10)
		b = strconv.AppendInt(append(b, '+'), a.Took.Microseconds(), 10)
		if a.Hedge {
			b = append(b, 'h')
		}
	}
	if len(c.Attempts) == 0 {
		b = append(b, '-')
	}
	return append(b, '\n')
}

func appendName(b []byte, name string) []byte {
	plain := name != "" && !strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == '"' || !strconv.IsPrint(r) })
	if plain {
		return append(b, name...)
	}
	// No space inside, so that fields stay parted by spaces.
	return append(b, strings.ReplaceAll(strconv.Quote(name), " ", `\x20`)...)
}
