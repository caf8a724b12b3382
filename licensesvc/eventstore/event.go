package eventstore

import (
	"errors"
	"fmt"
	"hash/fnv"
	"time"
)

// Event is one stored event.
type Event struct {
	// ID is unique in the stream. Append fills it in from commit and place if empty.
	ID string
	// Stream and Version are its place: versions of a stream count from 1.
	Stream  string
	Version int64
	// Type and Schema say how Data is to be read.
	Type   string
	Schema int
	// Commit is the id of the append that stored it.
	Commit string
	// Occurred is when it happened, Recorded when the writer asked to store it. Both
	// are by clocks that may be wrong; neither orders anything.
	Occurred, Recorded time.Time
	// Cause is the id of what led to it, Correlation that of the conversation, Trace
	// the trace id, Actor who asked. All optional.
	Cause, Correlation, Trace, Actor string
	Data                             []byte
}

// The bounds of one append. A larger one is refused whole.
const (
	MaxEvents      = 1000
	MaxEventBytes  = 256 << 10
	MaxCommitBytes = 1 << 20
	MaxNameBytes   = 512
)

// Commit is one append: events that are stored together or not at all.
type Commit struct {
	// ID makes the append safe to repeat: a commit whose ID is in the stream is
	// answered with what was stored then, whatever else it holds. Required.
	ID     string
	Stream string
	// Expected is the stream's version that the events were decided on; 0: the
	// stream is new.
	Expected int64
	Events   []Event
	Mode     Mode
}

// Mode is how sure an append has to be of what came before.
type Mode int

const (
	// Linearizable: the append happens only if the stream's version is Expected.
	Linearizable Mode = iota
	// Relaxed: on stores of several nodes, the append may happen beside others,
	// which is found and settled later. A store with one writer treats it as
	// Linearizable.
	Relaxed
)

// Check returns every problem of the commit at once; the error matches ErrInvalid.
func (c Commit) Check() error {
	var errs []error
	add := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%w: "+format, append([]any{ErrInvalid}, args...)...))
	}
	name := func(field, s string) {
		switch {
		case s == "":
			add("%s is empty", field)
		case len(s) > MaxNameBytes:
			add("%s has %d bytes, %d are allowed", field, len(s), MaxNameBytes)
		}
	}
	name("commit id", c.ID)
	name("stream", c.Stream)
	if c.Expected < 0 {
		add("expected version is %d: give 0 for a new stream, or the version that was loaded", c.Expected)
	}
	if len(c.Events) == 0 || len(c.Events) > MaxEvents {
		add("%d events: give 1 to %d", len(c.Events), MaxEvents)
	}
	total := 0
	for i, e := range c.Events {
		name(fmt.Sprintf("type of event %d", i), e.Type)
		if len(e.Data) > MaxEventBytes {
			add("event %d (%s) has %d bytes, %d are allowed", i, e.Type, len(e.Data), MaxEventBytes)
		}
		total += len(e.Data)
	}
	if total > MaxCommitBytes {
		add("the commit has %d bytes, %d are allowed: append in parts", total, MaxCommitBytes)
	}
	return errors.Join(errs...)
}

// Placed returns the commit's events as they are stored after version base.
func (c Commit) Placed(base int64) []Event {
	placed := make([]Event, len(c.Events))
	for i, e := range c.Events {
		e.Stream, e.Version, e.Commit = c.Stream, base+int64(i)+1, c.ID
		if e.ID == "" {
			e.ID = fmt.Sprintf("%s.%d", c.ID, i)
		}
		placed[i] = e
	}
	return placed
}

// Slices is the number of slices that streams are spread over. It is fixed for
// ever: cursors and Cassandra's feed partitions depend on it.
const Slices = 16

// SliceOf is the feed slice of a stream: FNV-1a of its name, modulo Slices.
func SliceOf(stream string) int {
	h := fnv.New32a()
	h.Write([]byte(stream)) // never fails
	return int(h.Sum32() % Slices)
}
