package app

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/backstay-go/backstay/licensesvc/app/journal"
	"github.com/backstay-go/backstay/licensesvc/license"
)

// The pauses between two tries of an entry that could not be stored. They double from the
// first to the longest. An entry that the rules refuse, or that can't be read, waits longer,
// because only the work of another instance or another program can change its result.
const (
	firstPause   = 250 * time.Millisecond
	longestPause = 5 * time.Second
	parkedPause  = 10 * time.Minute
)

// outbox keeps what was promised or accepted while the store was down, by member, until it is
// stored. An entry leaves it in no other way: one that the rules refuse stays, marked as
// refused, until the device has got the refusal. It is safe for concurrent use.
type outbox struct {
	journal *journal.Journal
	codec   keptCodec

	mu      sync.Mutex
	entries map[string]*waiting
	members map[string][]*waiting // in the order in which they came
	order   []string              // members, in the order in which they came; some have nothing any more
	parked  int
	refused int
	stored  int64 // entries that left it since the start
}

// waiting is an entry of the outbox. Its fields are guarded by the outbox's lock; kept and request
// never change once it can be seen.
type waiting struct {
	id   string
	put  time.Time
	kept kept
	// request is the span of the request that put the entry, if that was in this process.
	request trace.SpanContext
	// member is the member of the entry. An entry that can't be read counts as a separate
	// member.
	member string
	// unreadable says why an entry, which a newer program wrote, can't be read.
	unreadable error

	tries int
	next  time.Time // not before
	// reason says why it could not be stored the last time. refusal is set if the rules refuse
	// it.
	reason  error
	refusal *license.Refusal
}

func openOutbox(j *journal.Journal, codec keptCodec) *outbox {
	if j == nil {
		return nil
	}
	o := &outbox{journal: j, codec: codec, entries: map[string]*waiting{}, members: map[string][]*waiting{}}
	for _, e := range j.Pending() {
		o.add(e)
	}
	return o
}

// add adds an entry of the journal. The caller holds the lock, or is the only user.
func (o *outbox) add(e journal.Entry) {
	if _, known := o.entries[e.ID]; known { // Put again: the first one counts.
		return
	}
	w := &waiting{id: e.ID, put: e.Put}
	if w.kept, w.unreadable = o.codec.decode(e.Data); w.unreadable == nil {
		w.member = w.kept.Member
	} else {
		w.member, w.reason = "\x00"+e.ID, w.unreadable
		o.parked++
	}
	o.entries[e.ID] = w
	if len(o.members[w.member]) == 0 {
		o.order = append(o.order, w.member)
	}
	o.members[w.member] = append(o.members[w.member], w)
}

// put makes an entry durable.
func (o *outbox) put(ctx context.Context, e journal.Entry) error {
	if err := o.journal.Put(ctx, e); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	_, known := o.entries[e.ID]
	o.add(e)
	if !known {
		o.entries[e.ID].request = trace.SpanContextFromContext(ctx)
	}
	return nil
}

// done removes an entry that is stored, or whose refusal was delivered.
func (o *outbox) done(ctx context.Context, id string) error {
	if err := o.journal.Done(ctx, id); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	w, ok := o.entries[id]
	if !ok {
		return nil
	}
	delete(o.entries, id)
	o.stored++
	o.count(w, -1)
	rest := slices.DeleteFunc(slices.Clone(o.members[w.member]), func(other *waiting) bool { return other == w })
	if len(rest) == 0 {
		delete(o.members, w.member)
	} else {
		o.members[w.member] = rest
	}
	return nil
}

// count updates the numbers of parked and refused entries. The caller holds the lock.
func (o *outbox) count(w *waiting, by int) {
	switch {
	case w.refusal != nil:
		o.refused += by
	case w.reason != nil:
		o.parked += by
	}
}

// park records why an entry could not be stored, and when it is tried again. It reports
// whether the reason is new.
func (o *outbox) park(w *waiting, reason error, refusal *license.Refusal, patient bool) (changed bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, there := o.entries[w.id]; !there {
		return false
	}
	changed = w.reason == nil || reason == nil || w.reason.Error() != reason.Error()
	o.count(w, -1)
	w.reason, w.refusal = reason, refusal
	o.count(w, 1)
	pause := min(firstPause<<min(w.tries, 10), longestPause)
	if patient {
		pause = min(firstPause<<min(w.tries, 20), parkedPause)
	}
	w.tries++
	w.next = time.Now().Add(pause)
	return changed
}

// get returns an entry's command.
func (o *outbox) get(id string) (kept, bool) {
	if o == nil {
		return kept{}, false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	w, ok := o.entries[id]
	if !ok || w.unreadable != nil {
		return kept{}, false
	}
	return w.kept, true
}

// of returns a member's entries, the oldest first.
func (o *outbox) of(member string) []*waiting {
	if o == nil {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.members[member])
}

// due returns the members with an entry to try now, or all members. It also removes members
// without entries.
func (o *outbox) due(all bool) []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.order = slices.DeleteFunc(o.order, func(m string) bool { return len(o.members[m]) == 0 })
	now := time.Now()
	var due []string
	seen := make(map[string]bool, len(o.order))
	for _, m := range o.order {
		if !seen[m] && (all || slices.ContainsFunc(o.members[m], func(w *waiting) bool { return !w.next.After(now) })) {
			due = append(due, m)
		}
		seen[m] = true
	}
	return due
}

// mayTry reports whether an entry is to be tried now.
func (o *outbox) mayTry(w *waiting, all bool) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return w.unreadable == nil && (all || !w.next.After(time.Now()))
}

// Outbox describes the entries that wait for the store.
type Outbox struct {
	// Pending is the number of promises and reports that are not stored yet. Parked is the
	// number of those that were tried and failed. Refused is the number of entries that the
	// rules refuse and whose refusal nobody has seen yet.
	Pending, Parked, Refused int
	// Promises is the number of pending entries that are promises. Stored is the number of
	// entries that have left the outbox since the start.
	Promises int
	Stored   int64
	// Oldest is when the oldest pending entry was put. It is zero if there is none.
	Oldest time.Time
	// Reasons lists why entries are parked or refused, at most ten reasons.
	Reasons []string
}

func (o *outbox) stats() Outbox {
	if o == nil {
		return Outbox{}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	s := Outbox{Pending: len(o.entries) - o.refused, Parked: o.parked, Refused: o.refused, Stored: o.stored}
	for _, w := range o.entries {
		if w.refusal == nil && (s.Oldest.IsZero() || w.put.Before(s.Oldest)) {
			s.Oldest = w.put
		}
		if w.refusal == nil && w.kept.Promise != nil {
			s.Promises++
		}
		if w.reason != nil && len(s.Reasons) < 10 {
			s.Reasons = append(s.Reasons, fmt.Sprintf("%s of member %s, since %s: %v", w.kept.Name, w.kept.Member, w.put.UTC().Format(time.RFC3339), w.reason))
		}
	}
	slices.Sort(s.Reasons)
	return s
}

// pending counts the entries that are not stored yet, without the refused ones.
func (o *outbox) pending() int {
	if o == nil {
		return 0
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.entries) - o.refused
}
