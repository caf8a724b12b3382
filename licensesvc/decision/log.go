package decision

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/backstay-go/backstay/licensesvc/codec"
)

// The defaults of a Config.
const (
	DefaultMaxBytes = 256 << 20
	DefaultMaxAge   = 30 * 24 * time.Hour
	defaultBuffer   = 4096
)

const (
	// parts is the number of segments that a full log has, roughly.
	parts = 16
	// maxBatch is the number of records that are written at once.
	maxBatch = 256
	// pause is how long nothing is written after the disk failed.
	pause = time.Second
)

// Config says where the log is, and how large it may become.
type Config struct {
	// Dir is the folder of the log, which is made if necessary. Required.
	Dir string
	// MaxBytes limits the log, in bytes: the oldest records go first. Default: 0, which means
	// 256 MiB. At least 64 KiB.
	MaxBytes int64
	// MaxAge is how long records are kept. Default: 0, which means 30 days.
	MaxAge time.Duration
	// Sample is the share of members whose grants are recorded, above 0 and up to 1. All grants
	// of such a member are recorded, so that the member's history can be decided again as a whole.
	// Default: 0, which means 1. Refusals, and commands that failed, are always recorded.
	Sample float64
	// Buffer is how many records may wait to be written. Default: 0, which means 4,096.
	Buffer int
	// Full reports whether the disk has no room for the log. Nil: it has.
	Full func() bool
	// Log receives what an operator should know. Nil: nothing is logged.
	Log *slog.Logger
	_   struct{}
}

func (c Config) withDefaults() (Config, error) {
	var errs []error
	if c.Dir == "" {
		errs = append(errs, errors.New("decision: Dir is empty: give a folder"))
	}
	if c.MaxBytes != 0 && c.MaxBytes < 64<<10 {
		errs = append(errs, fmt.Errorf("decision: MaxBytes is %d: give 65,536 or more, or 0 for %d", c.MaxBytes, DefaultMaxBytes))
	}
	if c.MaxAge < 0 {
		errs = append(errs, fmt.Errorf("decision: MaxAge is %s: give a duration above zero, or 0 for %s", c.MaxAge, DefaultMaxAge))
	}
	if !(c.Sample >= 0 && c.Sample <= 1) {
		errs = append(errs, fmt.Errorf("decision: Sample is %g: give a share above 0 and up to 1", c.Sample))
	}
	if c.Buffer < 0 {
		errs = append(errs, fmt.Errorf("decision: Buffer is %d: give 1 or more, or 0 for %d", c.Buffer, defaultBuffer))
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = DefaultMaxBytes
	}
	if c.MaxAge == 0 {
		c.MaxAge = DefaultMaxAge
	}
	if c.Sample == 0 {
		c.Sample = 1
	}
	if c.Buffer == 0 {
		c.Buffer = defaultBuffer
	}
	if c.Full == nil {
		c.Full = func() bool { return false }
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c, errors.Join(errs...)
}

// Stats counts what a log did since it was opened.
type Stats struct {
	// Written is the number of records that were written. NotSampled is the number of grants that
	// Config.Sample left out.
	Written, NotSampled int64
	// DroppedBuffer, DroppedDisk and DroppedClosed are the numbers of records that were dropped
	// because too many waited, because the disk failed or was full, and because the log was closed.
	DroppedBuffer, DroppedDisk, DroppedClosed int64
}

// Log records decisions. It is safe for concurrent use. The caller that opened it must close it.
type Log struct {
	cfg   Config
	codec *codec.Codec[Record]
	queue chan Record
	quit  chan struct{}
	ended chan struct{}
	close sync.Once

	written, notSampled, droppedBuffer, droppedDisk, droppedClosed atomic.Int64

	// The writing goroutine owns the fields below.
	file    io.WriteCloser
	waiting []Record // the batch, reused
	text    []byte   // of the batch, reused
	next    int      // the number of the next segment
	size    int64
	failed  time.Time // when the disk failed, zero if it works
	create  func(path string) (io.WriteCloser, error)
}

// Open opens the log and starts its writer. It begins a new segment, so that what a crash left
// incomplete stays the end of an old one.
func Open(cfg Config) (*Log, error) {
	l, err := open(cfg)
	if err != nil {
		return nil, err
	}
	go l.write()
	return l, nil
}

func open(cfg Config) (*Log, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	c, err := newCodec()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("decision: %w", err)
	}
	old, err := segments(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("decision: %w", err)
	}
	l := &Log{cfg: cfg, codec: c, queue: make(chan Record, cfg.Buffer), quit: make(chan struct{}), ended: make(chan struct{}), next: 1, create: createFile}
	if len(old) > 0 {
		l.next = old[len(old)-1].number + 1
	}
	return l, nil
}

func createFile(path string) (io.WriteCloser, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

// Record records a decision. It never waits; see Stats for what was dropped. The record must not
// be changed afterwards.
func (l *Log) Record(r Record) {
	if l.cfg.Sample < 1 && granted(r.Outcome) && !sampled(r.Member, l.cfg.Sample) {
		l.notSampled.Add(1)
		return
	}
	select {
	case <-l.quit:
		l.droppedClosed.Add(1)
		return
	default:
	}
	select {
	case l.queue <- r:
	default:
		l.droppedBuffer.Add(1)
	}
}

func granted(outcome string) bool {
	return outcome == Done || outcome == Promised || outcome == Accepted
}

func sampled(member string, share float64) bool {
	h := fnv.New32a()
	_, _ = io.WriteString(h, member) // never fails
	return float64(h.Sum32())/(1<<32) < share
}

// Stats returns the counts.
func (l *Log) Stats() Stats {
	return Stats{Written: l.written.Load(), NotSampled: l.notSampled.Load(),
		DroppedBuffer: l.droppedBuffer.Load(), DroppedDisk: l.droppedDisk.Load(), DroppedClosed: l.droppedClosed.Load()}
}

// Close writes what waits, and ends the writer. Closing twice does nothing more.
func (l *Log) Close() error {
	l.close.Do(func() { close(l.quit) })
	<-l.ended
	return nil
}

// write takes the waiting records and writes them together.
func (l *Log) write() {
	defer close(l.ended)
	defer l.endSegment()
	l.retain()
	// Records age also when nothing is recorded.
	aging := time.NewTicker(min(time.Hour, l.cfg.MaxAge))
	defer aging.Stop()
	for {
		select {
		case r := <-l.queue:
			l.append(l.batch(r))
		case <-aging.C:
			l.retain()
		case <-l.quit:
			for {
				select {
				case r := <-l.queue:
					l.append(l.batch(r))
				default:
					return
				}
			}
		}
	}
}

func (l *Log) batch(first Record) []Record {
	records := append(l.waiting[:0], first)
	defer func() { l.waiting = records }()
	for len(records) < maxBatch {
		select {
		case r := <-l.queue:
			records = append(records, r)
		default:
			return records
		}
	}
	return records
}

func (l *Log) append(records []Record) {
	if l.cfg.Full() || !l.failed.IsZero() && time.Since(l.failed) < pause {
		l.droppedDisk.Add(int64(len(records)))
		return
	}
	out := l.text[:0]
	encoded := int64(0)
	for _, r := range records {
		var err error
		if out, err = appendLine(out, l.codec, r); err != nil {
			l.droppedDisk.Add(1)
			l.cfg.Log.Error("a decision can't be recorded", "command", r.Command, "error", err)
			continue
		}
		encoded++
	}
	l.text = out
	if encoded == 0 {
		return
	}
	if err := l.store(out); err != nil {
		l.droppedDisk.Add(encoded)
		if l.failed.IsZero() {
			l.cfg.Log.Warn("decisions are not recorded: the disk failed or is full", "dir", l.cfg.Dir, "error", err)
		}
		// What was written of the line would damage the next one.
		l.endSegment()
		l.failed = time.Now()
		return
	}
	l.failed = time.Time{}
	l.written.Add(encoded)
}

func (l *Log) store(out []byte) error {
	if l.file == nil {
		file, err := l.create(filepath.Join(l.cfg.Dir, segmentName(l.next)))
		if err != nil {
			return err
		}
		l.file, l.size = file, 0
		l.next++
		l.retain()
	}
	n, err := l.file.Write(out)
	l.size += int64(n)
	if err == nil && l.size >= l.cfg.MaxBytes/parts {
		l.endSegment()
	}
	return err
}

func (l *Log) endSegment() {
	if l.file == nil {
		return
	}
	if err := l.file.Close(); err != nil {
		l.cfg.Log.Warn("a segment of the decisions was not closed", "error", err)
	}
	l.file = nil
}

// retain removes the oldest segments, until the next one fits, and those that are too old.
func (l *Log) retain() {
	all, err := segments(l.cfg.Dir)
	total := l.cfg.MaxBytes / parts
	for _, s := range all {
		total += s.bytes
	}
	for _, s := range all {
		if total <= l.cfg.MaxBytes && time.Since(s.last) <= l.cfg.MaxAge || l.file != nil && s.number == l.next-1 {
			continue
		}
		total -= s.bytes
		err = errors.Join(err, os.Remove(s.path))
	}
	if err != nil {
		l.cfg.Log.Warn("old decisions were not removed", "error", err)
	}
}
