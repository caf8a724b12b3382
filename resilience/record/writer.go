package record

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/backstay-go/backstay/internal/version"
	"github.com/backstay-go/backstay/resilience"
)

// ErrOptions is the kind of error for a Writer that can't be made.
var ErrOptions = errors.New("record: invalid options")

// The defaults of Options.
const (
	// defaultMaxBytes bounds a record, so that recording an incident does not cause
	// the next one by filling the disk.
	defaultMaxBytes = 256 << 20
	defaultBuffer   = 1 << 20
)

const (
	// writeFrom is how much is collected before it is written, unless writeEvery passes first.
	writeFrom  = 32 << 10
	writeEvery = time.Second
	// gapRoom is kept free of calls, so that a record can end with a header and what it dropped.
	gapRoom = 96
)

// Options configures a Writer.
type Options struct {
	// MaxBytes limits the record, in bytes. Later calls are dropped and counted. Default:
	// 0, which means 256 MiB. A negative value is an error.
	MaxBytes int64
	// Buffer limits the memory for calls that wait to be written, in bytes. Calls that do not
	// fit are dropped and counted. Default: 0, which means 1 MiB. A negative value is an
	// error.
	Buffer int
	_      struct{}
}

// Writer writes one line for each call that its guards make. Add it to guards with
// resilience.WithListener. It is safe for concurrent use. It never makes a call wait for
// the underlying writer: a goroutine writes, at most a second after the call. A failed write
// is retried. Calls that do not fit into the buffer meanwhile are dropped, and the record
// states how many. The caller that created it must close it, which ends the goroutine;
// later calls are dropped. The zero value is not usable.
type Writer struct {
	resilience.Listener
	out     io.Writer
	buffer  int
	filled  chan struct{}
	flushes chan chan error
	quit    chan struct{}
	done    chan struct{}
	stop    sync.Once

	// unwritten is the rest of a failed write, and unwrittenLines its number of calls. The
	// writing goroutine owns both.
	unwritten      []byte
	unwrittenLines int64
	head           []byte // the header's line

	mu      sync.Mutex
	pending []byte // begins with the header
	lines   int64  // calls in pending
	begun   bool   // the first header was taken to be written
	left    int64  // of MaxBytes
	full    bool   // MaxBytes is reached
	missing int64  // dropped since the last line
	written int64
	dropped int64
	err     error
	closed  bool
}

// NewWriter begins a record on w, or a further part if w already has one.
func NewWriter(w io.Writer, o Options) (*Writer, error) {
	switch {
	case w == nil:
		return nil, fmt.Errorf("%w: the writer is nil", ErrOptions)
	case o.MaxBytes < 0:
		return nil, fmt.Errorf("%w: MaxBytes is %d; use 0 for %d, or more", ErrOptions, o.MaxBytes, int64(defaultMaxBytes))
	case o.Buffer < 0:
		return nil, fmt.Errorf("%w: Buffer is %d; use 0 for %d, or more", ErrOptions, o.Buffer, defaultBuffer)
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = defaultMaxBytes
	}
	if o.Buffer == 0 {
		o.Buffer = defaultBuffer
	}
	base := time.Now()
	rec := &Writer{
		out: w, buffer: o.Buffer, left: o.MaxBytes,
		filled: make(chan struct{}, 1), flushes: make(chan chan error), quit: make(chan struct{}), done: make(chan struct{}),
	}
	rec.head = []byte(header + " " + base.UTC().Format(time.RFC3339Nano) + "\n")
	rec.begin(nil)
	if o.MaxBytes > writeFrom {
		by := "# written by " + version.String() + "\n"
		rec.pending = append(rec.pending, by...)
		rec.left -= int64(len(by))
	}
	rec.Listener = Listen(base, func() time.Duration { return time.Since(base) }, rec.add)
	go rec.run()
	return rec, nil
}

// Handle implements resilience.Listener.
func (w *Writer) Handle(ctx context.Context, e resilience.Event) context.Context {
	return w.Listener.Handle(ctx, e)
}

// add buffers a call, or drops it.
func (w *Writer) add(c Call) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		w.dropped++
		return
	}
	before := len(w.pending)
	if w.missing > 0 {
		w.pending = appendGap(w.pending, w.missing)
	}
	w.pending = appendCall(w.pending, c)
	size := int64(len(w.pending) - before)
	w.full = w.full || size > w.left-gapRoom
	if w.full || len(w.pending) > w.buffer {
		w.pending = w.pending[:before]
		w.missing++
		w.dropped++
		return
	}
	w.missing = 0
	w.left -= size
	w.lines++
	if len(w.pending) >= min(writeFrom, w.buffer/2) {
		select {
		case w.filled <- struct{}{}:
		default: // it knows
		}
	}
}

func appendGap(b []byte, calls int64) []byte {
	return append(strconv.AppendInt(append(b, gap...), calls, 10), '\n')
}

// run writes until Close.
func (w *Writer) run() {
	defer close(w.done)
	tick := time.NewTicker(writeEvery)
	defer tick.Stop()
	var spare []byte
	for {
		select {
		case <-w.filled:
		case <-tick.C:
		case answer := <-w.flushes:
			spare = w.write(spare)
			answer <- w.failure()
			continue
		case <-w.quit:
			w.write(spare)
			w.giveUp()
			return
		}
		spare = w.write(spare)
	}
}

// begin starts a chunk with the header, so that the chunk can be read whatever has happened
// to the file before it, and even if other processes write to the same file.
func (w *Writer) begin(buffer []byte) {
	w.pending = append(buffer[:0], w.head...)
	w.left -= int64(len(w.head))
}

// write writes the rest of a failed write, and then what is pending. It returns the buffer to
// use next. While the former fails, the latter stays in memory, within its limit.
func (w *Writer) write(spare []byte) []byte {
	if len(w.unwritten) > 0 && !w.pass() {
		return spare
	}
	w.mu.Lock()
	if w.closed && w.missing > 0 {
		w.pending = appendGap(w.pending, w.missing)
		w.missing = 0
	}
	if w.begun && len(w.pending) == len(w.head) {
		w.mu.Unlock()
		return spare // nothing but the header
	}
	w.begun = true
	w.unwritten, w.unwrittenLines = w.pending, w.lines
	w.begin(spare)
	w.lines = 0
	w.mu.Unlock()
	chunk := w.unwritten
	if !w.pass() {
		return nil // the chunk is still needed
	}
	return chunk
}

// pass writes what is unwritten, and reports whether it succeeded. It keeps the rest of a
// failed write for the next call.
func (w *Writer) pass() bool {
	n, err := w.out.Write(w.unwritten)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.unwritten = w.unwritten[min(max(n, 0), len(w.unwritten)):]
		w.err = fmt.Errorf("record: write: %w", err)
		return false
	}
	w.written += w.unwrittenLines
	w.unwritten, w.unwrittenLines, w.err = nil, 0, nil
	return true
}

// giveUp counts the calls that could not be written before Close.
func (w *Writer) giveUp() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		w.dropped += w.unwrittenLines + w.lines
	}
}

func (w *Writer) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// Flush writes what is buffered, and waits for it. It returns the error of a write that
// failed; the rest of that write is retried later.
func (w *Writer) Flush() error {
	answer := make(chan error, 1)
	select {
	case w.flushes <- answer:
		return <-answer
	case <-w.done:
		return w.failure()
	}
}

// Close ends the record, waits until it is written, and returns the error of the last
// write if that failed. It does not close the underlying writer. Closing twice does nothing more.
func (w *Writer) Close() error {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.stop.Do(func() { close(w.quit) })
	<-w.done
	return w.failure()
}

// Counts returns how many calls were written so far, and how many dropped: for want
// of room, after an error of writing, or after Close.
func (w *Writer) Counts() (written, dropped int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.written, w.dropped
}
