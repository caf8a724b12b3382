package history

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// Outcome is what a client knows about the result of an operation.
type Outcome string

// The outcomes.
const (
	// Unknown: the client can't tell whether the operation happened or will happen. An
	// operation that was never ended is unknown.
	Unknown Outcome = "unknown"
	// Applied: the operation happened.
	Applied Outcome = "applied"
	// Conflict: the operation did not happen, because the stream was at another version.
	Conflict Outcome = "conflict"
	// Rejected: the operation did not happen and never will.
	Rejected Outcome = "rejected"
)

// Event is an event as a reader sees it. All events of a commit have the commit's id.
type Event struct {
	Version int64  `json:"version"`
	Commit  string `json:"commit"`
}

// Op is one operation as its client saw it: an append if it has a commit, otherwise a read of
// a whole stream.
type Op struct {
	Client int    `json:"client"`
	Stream string `json:"stream"`
	// Commit is the id of the appended commit. Expected is the version at which the stream has
	// to be. Events is the number of events.
	Commit   string `json:"commit,omitempty"`
	Expected int64  `json:"expected,omitempty"`
	Events   int    `json:"events,omitempty"`
	// Call and Return count from the recording's start. Return is ignored if the outcome is
	// unknown.
	Call   time.Duration `json:"call_ns"`
	Return time.Duration `json:"return_ns"`
	// Outcome is the result. That of a read is applied, or unknown if it failed.
	Outcome Outcome `json:"outcome"`
	// Version is the version of the stream after the append, or the one that won. Zero: it is
	// not known.
	Version int64 `json:"version,omitempty"`
	// Saw holds the events that a read found.
	Saw []Event `json:"saw,omitempty"`
}

// Recorder records operations. It is safe for concurrent use and needs no closing.
type Recorder struct {
	start time.Time

	mu  sync.Mutex
	ops []Op
}

// New returns a recorder whose clock begins now.
func New() *Recorder { return &Recorder{start: time.Now()} }

// Pending is an operation that was begun. End it once. An operation that is not ended is
// unknown.
type Pending struct {
	r *Recorder
	n int
}

// Append begins the append of a commit with one event or several. It expects the stream to be
// at a version.
func (r *Recorder) Append(client int, stream, commit string, expected int64, events int) *Pending {
	return r.begin(Op{Client: client, Stream: stream, Commit: commit, Expected: expected, Events: max(1, events)})
}

// Read begins a read of a whole stream.
func (r *Recorder) Read(client int, stream string) *Pending {
	return r.begin(Op{Client: client, Stream: stream})
}

func (r *Recorder) begin(op Op) *Pending {
	r.mu.Lock()
	defer r.mu.Unlock()
	op.Outcome, op.Call = Unknown, time.Since(r.start)
	r.ops = append(r.ops, op)
	return &Pending{r, len(r.ops) - 1}
}

// Applied ends an append that happened. The version is that of the stream after it.
func (p *Pending) Applied(version int64) {
	p.end(func(op *Op) { op.Outcome, op.Version = Applied, version })
}

// Conflict ends an append that found another version.
func (p *Pending) Conflict(version int64) {
	p.end(func(op *Op) { op.Outcome, op.Version = Conflict, version })
}

// Rejected ends an append that did not happen and never will.
func (p *Pending) Rejected() { p.end(func(op *Op) { op.Outcome = Rejected }) }

// Saw ends a read that succeeded.
func (p *Pending) Saw(events []Event) {
	p.end(func(op *Op) { op.Outcome, op.Saw = Applied, slices.Clone(events) })
}

func (p *Pending) end(set func(*Op)) {
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	op := &p.r.ops[p.n]
	op.Return = time.Since(p.r.start)
	set(op)
}

// History returns a copy of what was recorded so far.
func (r *Recorder) History() History {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.ops)
}

// History is what the clients saw. Treat it as a value.
type History []Op

// Write writes the history as one line of JSON per operation.
func (h History) Write(w io.Writer) error {
	enc := json.NewEncoder(w)
	for _, op := range h {
		if err := enc.Encode(op); err != nil {
			return fmt.Errorf("history: %w", err)
		}
	}
	return nil
}

// maxFaults bounds the list of lines that Read could not read.
const maxFaults = 20

// Read reads a history that Write wrote. It goes on after a line that can't be read: it
// returns all other operations, and an error that names the first 20 such lines. A check
// of a history with an error may find faults that are only missing lines.
func Read(r io.Reader) (History, error) {
	var h History
	var faults []error
	in := bufio.NewReader(r)
	for n := 1; ; n++ {
		line, err := in.ReadBytes('\n')
		if text := bytes.TrimSpace(line); len(text) > 0 {
			op, bad := parse(text)
			if bad == nil {
				h = append(h, op)
			} else if len(faults) < maxFaults {
				faults = append(faults, fmt.Errorf("history: line %d: %w", n, bad))
			}
		}
		switch err {
		case nil:
		case io.EOF:
			return h, errors.Join(faults...)
		default:
			return h, errors.Join(append(faults, fmt.Errorf("history: line %d: %w", n, err))...)
		}
	}
}

// parse reads one operation. Nothing may follow it.
func parse(line []byte) (op Op, err error) {
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&op); err != nil {
		return op, err
	}
	if dec.More() {
		return op, errors.New("something follows the operation")
	}
	return op, nil
}
