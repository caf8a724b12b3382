package eventstore

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"time"
)

// Event is one stored event.
type Event struct {
	// ID is unique within the stream. If it is empty, Append derives it from the commit and
	// the event's index.
	ID string
	// Stream and Version identify the event. The versions of a stream count from 1.
	Stream  string
	Version int64
	// Type and Schema say how to decode Data.
	Type   string
	Schema int
	// Commit is the id of the append that stored it.
	Commit string
	// Occurred is when it happened. Recorded is when the writer asked to store it. Both come
	// from clocks that may be wrong, so nothing is ordered by them.
	Occurred, Recorded time.Time
	// Cause is the id of what led to the event, Correlation the id of the conversation, Trace
	// the trace id, and Actor the one who asked for it. All are optional.
	Cause, Correlation, Trace, Actor string
	// Tags name what the event is about besides its stream, such as "studio:acme", so that a
	// decision can depend on events of several streams. At most MaxTags, each at most MaxTagBytes
	// long and none twice. Nil: the event is about its stream alone.
	Tags []string
	Data []byte
}

// The limits of one append. A larger append is refused as a whole.
const (
	MaxEvents      = 1000
	MaxEventBytes  = 256 << 10
	MaxCommitBytes = 1 << 20
	MaxNameBytes   = 512
)

// Commit is the content of one append: events that are stored together or not at all.
type Commit struct {
	// ID makes the append safe to repeat. If a commit with this ID is already in the stream
	// and has the same content, the answer is what was stored then. If it has another content,
	// it is refused with ErrMismatch. Required.
	ID     string
	Stream string
	// Expected is the version of the stream on which the decision was based. 0: the stream is
	// new.
	Expected int64
	Events   []Event
	// Content identifies the request behind the commit, so that a second use of the same ID
	// for another request is noticed. Use a hash of the command. The events can't identify a
	// request if a repeat decides again and produces other events. Default: empty, which means
	// the events' types and data.
	Content string
	// Condition must hold in addition to Expected. It is not part of what identifies the commit: a
	// repeat of a stored commit gets the first answer, even if its condition would now fail. Nil:
	// there is no condition.
	Condition *Condition
}

// Fingerprint returns the value that is compared when a commit's ID is already known: Content,
// or a hash of the events' types, schemas, data and tags.
func (c Commit) Fingerprint() string {
	if c.Content != "" {
		return c.Content
	}
	h := sha256.New()
	for _, e := range c.Events {
		fmt.Fprintf(h, "%d:%s %d %d:", len(e.Type), e.Type, e.Schema, len(e.Data))
		h.Write(e.Data) // never fails
		for _, tag := range e.Tags {
			fmt.Fprintf(h, "#%d:%s", len(tag), tag)
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

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
	if len(c.Content) > MaxNameBytes {
		add("content has %d bytes, %d are allowed: give a hash", len(c.Content), MaxNameBytes)
	}
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
		errs = append(errs, checkTags(fmt.Sprintf("event %d (%s)", i, e.Type), e.Tags)...)
		total += len(e.Data)
	}
	if c.Condition != nil {
		if err := c.Condition.Check(); err != nil {
			errs = append(errs, fmt.Errorf("condition: %w", err))
		}
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
		e.Stream, e.Version, e.Commit, e.Tags = c.Stream, base+int64(i)+1, c.ID, slices.Clone(e.Tags)
		if e.ID == "" {
			e.ID = fmt.Sprintf("%s.%d", c.ID, i)
		}
		placed[i] = e
	}
	return placed
}

// Slices is the number of slices over which streams are distributed. It can never change:
// cursors and the feed partitions in Cassandra depend on it.
const Slices = 16

// SliceOf returns the feed slice of a stream: FNV-1a of its name, modulo Slices.
func SliceOf(stream string) int {
	h := fnv.New32a()
	h.Write([]byte(stream)) // never fails
	return int(h.Sum32() % Slices)
}

// Nanos returns a time as stores keep it: nanoseconds since 1970, UTC. The zero time is 0.
func Nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// Instant returns the time from which Nanos made the number.
func Instant(nanos int64) time.Time {
	if nanos == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanos).UTC()
}
