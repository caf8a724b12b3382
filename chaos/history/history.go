package history

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// Outcome is what a client knows of an operation.
type Outcome string

// The outcomes.
const (
	// Unknown: the client can't tell whether it happened, or may yet. An operation that
	// nobody ended is unknown.
	Unknown Outcome = "unknown"
	// Applied: it happened.
	Applied Outcome = "applied"
	// Conflict: it did not, as the stream was at another version.
	Conflict Outcome = "conflict"
	// Rejected: it did not and never will.
	Rejected Outcome = "rejected"
)

// Event is an event as a reader sees it. Several events of one commit have its id.
type Event struct {
	Version int64  `json:"version"`
	Commit  string `json:"commit"`
}

// Op is one operation as its client saw it: an append if it has a commit, else a read of
// a whole stream.
type Op struct {
	Client int    `json:"client"`
	Stream string `json:"stream"`
	// Commit is the id of what is appended, Expected the version that the stream has to
	// be at, Events how many events there are.
	Commit   string `json:"commit,omitempty"`
	Expected int64  `json:"expected,omitempty"`
	Events   int    `json:"events,omitempty"`
	// Call and Return count from the recording's start. Return is not looked at if the
	// outcome is unknown.
	Call   time.Duration `json:"call_ns"`
	Return time.Duration `json:"return_ns"`
	// Outcome of a read is applied, or unknown if it failed.
	Outcome Outcome `json:"outcome"`
	// Version is the stream's after the append, or the one that won. Zero: not told.
	Version int64 `json:"version,omitempty"`
	// Saw is what a read found.
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

// Pending is an operation that was begun. It is ended once; one that is not is unknown.
type Pending struct {
	r *Recorder
	n int
}

// Append begins an append of a commit of one event or several, which expects the stream
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

// Applied ends an append that happened; version is the stream's after it.
func (p *Pending) Applied(version int64) {
	p.end(func(op *Op) { op.Outcome, op.Version = Applied, version })
}

// Conflict ends an append that met another version.
func (p *Pending) Conflict(version int64) {
	p.end(func(op *Op) { op.Outcome, op.Version = Conflict, version })
}

// Rejected ends an append that never happens.
func (p *Pending) Rejected() { p.end(func(op *Op) { op.Outcome = Rejected }) }

// Saw ends a read.
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

// History is a copy of what was recorded so far.
func (r *Recorder) History() History {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.ops)
}

// History is what clients saw. It is a value.
type History []Op

// Write writes the history, a line of JSON an operation.
func (h History) Write(w io.Writer) error {
	enc := json.NewEncoder(w)
	for _, op := range h {
		if err := enc.Encode(op); err != nil {
			return fmt.Errorf("history: %w", err)
		}
	}
	return nil
}

// Read reads what Write wrote.
func Read(r io.Reader) (History, error) {
	var h History
	dec := json.NewDecoder(r)
	dec.DisallowUnknownFields()
	for {
		var op Op
		switch err := dec.Decode(&op); err {
		case nil:
			h = append(h, op)
		case io.EOF:
			return h, nil
		default:
			return nil, fmt.Errorf("history: operation %d: %w", len(h)+1, err)
		}
	}
}
