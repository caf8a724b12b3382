package cassandra

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	client "github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/licensesvc/eventstore"
)

const (
	// pageEntries is the number of positions in a page of the log. It can never change.
	pageEntries = 10_000
	// atOnce is the highest number of entries that are sequenced in one batch.
	atOnce = 200
	// tailEntries is how far back a sequencer looks for entries that another one logged but
	// had no time to mark. It must be at least atOnce.
	tailEntries = atOnce
)

// entry is a range of versions of a stream in the log.
type entry struct {
	position    int64
	stream      string
	after, upto int64
	// mark is random, so that a log that was written again after a restore has other marks.
	mark string
}

// logHead is the end of a slice's log.
type logHead struct {
	page, next, events int64
	exists             bool
}

func (s *Store) logHead(ctx context.Context, profile string, slice int) (logHead, error) {
	s.mu.Lock()
	h := logHead{page: s.pages[slice]}
	s.mu.Unlock()
	for {
		var next, events *int64
		err := s.query(ctx, profile, "SELECT next, events FROM feed WHERE store = ? AND slice = ? AND page = ? LIMIT 1", s.name, slice, h.page).Scan(&next, &events)
		switch {
		case errors.Is(err, client.ErrNotFound) || err == nil && next == nil:
			h.exists, h.next = false, h.page*pageEntries
			return h, nil
		case err != nil:
			return h, err
		}
		h.exists, h.next, h.events = true, *next, *events
		if h.next < (h.page+1)*pageEntries {
			return h, nil
		}
		// A full page no longer changes.
		h.page++
		s.mu.Lock()
		s.pages[slice] = max(s.pages[slice], h.page)
		s.mu.Unlock()
	}
}

// sequence writes what is new in a slice to its log, from each bucket that is not settled, and
// settles closed buckets. It is important that the register is read at SERIAL before the
// bucket's intents are.
func (s *Store) sequence(ctx context.Context, slice int) error {
	at, err := s.intake(ctx, ProfileRead, slice)
	if err != nil {
		return err
	}
	if at.settled < at.open {
		if at, err = s.intake(ctx, ProfileSettle, slice); err != nil {
			return err
		}
	}
	for bucket := at.settled; bucket < at.open; bucket++ {
		if err := s.sequenceClosed(ctx, slice, bucket); err != nil {
			return err
		}
	}
	_, _, err = s.sequenceBucket(ctx, slice, at.open)
	return err
}

// sequenceClosed sequences a bucket that takes no further intents, and settles it. Intents
// that are still open move to the bucket that is open now, so that a writer that died holds
// nothing up.
func (s *Store) sequenceClosed(ctx context.Context, slice int, bucket int64) error {
	for all := false; !all; {
		var left []intent
		var err error
		if left, all, err = s.sequenceBucket(ctx, slice, bucket); err != nil {
			return err
		}
		for _, i := range left {
			if err := s.carry(ctx, i); err != nil {
				return err
			}
		}
	}
	return s.settleBucket(ctx, slice, bucket)
}

// sequenceBucket sequences the intents of one bucket, deletes those that are over, and returns
// those that are left. If all is false, there may be more. It reads at a quorum: what that
// shows exists, and what it does not show yet remains an intent. It reads at SERIAL only after
// another instance wrote the log first.
func (s *Store) sequenceBucket(ctx context.Context, slice int, bucket int64) (left []intent, all bool, err error) {
	profile := ProfileRead
	for {
		intents, all, err := s.intents(ctx, slice, bucket)
		if err != nil || len(intents) == 0 {
			return nil, true, err
		}
		over, more, won, err := s.sequenceSome(ctx, profile, slice, intents)
		switch {
		case err != nil:
			return nil, false, err
		case !won:
			profile = ProfileSettle // Another reader was first: see what it did.
		case !more:
			return slices.DeleteFunc(intents, func(i intent) bool { return slices.Contains(over, i) }), all, nil
		}
	}
}

// sequenceSome logs the commits of intents as far as a page has room, marks them, and returns
// the intents that are over. won is false if another instance wrote the log first.
func (s *Store) sequenceSome(ctx context.Context, profile string, slice int, intents []intent) (over []intent, more, won bool, err error) {
	head, err := s.logHead(ctx, profile, slice)
	if err != nil {
		return nil, false, false, err
	}
	logged, err := s.tail(ctx, profile, slice, head)
	if err != nil {
		return nil, false, false, err
	}
	fresh, over, err := s.resolved(ctx, intents, logged)
	if err != nil {
		return nil, false, false, err
	}
	room := int(min(atOnce, (head.page+1)*pageEntries-head.next))
	if more = len(fresh) > room; more {
		// A stream that is left out keeps its intents for the next round.
		out := map[string]bool{}
		for _, e := range fresh[room:] {
			out[e.stream] = true
		}
		over = slices.DeleteFunc(over, func(i intent) bool { return out[i.stream] })
		fresh = fresh[:room]
	}
	if len(fresh) > 0 {
		if won, err := s.log(ctx, slice, head, fresh); err != nil || !won {
			return nil, false, false, err
		}
	}
	return over, more, true, s.finish(ctx, fresh, over)
}

// finish marks what was logged, then deletes the intents that are over.
func (s *Store) finish(ctx context.Context, fresh []entry, over []intent) error {
	for _, e := range fresh {
		if err := s.mark(ctx, e.stream, e.upto); err != nil {
			return err
		}
	}
	for _, i := range over {
		if err := s.drop(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// tail returns, by stream, up to which version the last entries of the log go.
func (s *Store) tail(ctx context.Context, profile string, slice int, head logHead) (map[string]int64, error) {
	upto := map[string]int64{}
	from := max(0, head.next-tailEntries)
	for page := from / pageEntries; page <= head.page; page++ {
		entries, err := s.entries(ctx, profile, slice, page, from, tailEntries)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			upto[e.stream] = max(upto[e.stream], e.upto)
		}
	}
	return upto, nil
}

func (s *Store) entries(ctx context.Context, profile string, slice int, page, from int64, limit int) ([]entry, error) {
	it := s.query(ctx, profile, "SELECT position, stream, after, upto, mark FROM feed WHERE store = ? AND slice = ? AND page = ? AND position >= ? LIMIT ?", s.name, slice, page, from, limit).Iter()
	var all []entry
	for {
		var e entry
		if !it.Scan(&e.position, &e.stream, &e.after, &e.upto, &e.mark) {
			return all, it.Close()
		}
		all = append(all, e)
	}
}

// resolved finds out whether the commits of intents were stored. It returns what is to be
// logged, and the intents that are over once that is done. An intent stays if its commit is
// not there but can still be stored.
func (s *Store) resolved(ctx context.Context, intents []intent, logged map[string]int64) (fresh []entry, over []intent, err error) {
	streams := map[string][]intent{}
	var order []string
	for _, i := range intents {
		if streams[i.stream] == nil {
			order = append(order, i.stream)
		}
		streams[i.stream] = append(streams[i.stream], i)
	}
	for _, stream := range order {
		buckets, err := s.buckets(ctx, ProfileRead, stream)
		if err != nil {
			return nil, nil, err
		}
		head := buckets[len(buckets)-1].head
		for _, i := range streams[stream] {
			// The attempt was for the version after expected. Once that version is taken, by
			// this attempt or another, the attempt is over, and the log extends to the head.
			if head > i.expected {
				over = append(over, i)
				continue
			}
			a, _, err := s.find(ctx, ProfileRead, stream, i.commit, buckets)
			if err != nil {
				return nil, nil, err
			}
			if a.Outcome != eventstore.Unknown {
				over = append(over, i)
			}
		}
		done, err := s.marked(ctx, stream)
		if err != nil {
			return nil, nil, err
		}
		if done = max(done, logged[stream]); head > done {
			fresh = append(fresh, entry{stream: stream, after: done, upto: head})
		}
	}
	return fresh, over, nil
}

// log appends entries to the log of a slice. It returns false if another instance did first.
func (s *Store) log(ctx context.Context, slice int, head logHead, fresh []entry) (bool, error) {
	events := head.events
	for _, e := range fresh {
		events += e.upto - e.after
	}
	next := head.next + int64(len(fresh))
	mark := rand.Text()
	b := s.session.NewBatch(client.LoggedBatch).WithContext(ctx).Profile(ProfileAppend)
	if head.exists {
		b.Query("UPDATE feed SET next = ?, events = ? WHERE store = ? AND slice = ? AND page = ? IF next = ?", next, events, s.name, slice, head.page, head.next)
	} else {
		b.Query("UPDATE feed SET next = ?, events = ? WHERE store = ? AND slice = ? AND page = ? IF next = null", next, events, s.name, slice, head.page)
	}
	for i, e := range fresh {
		b.Query("INSERT INTO feed (store, slice, page, position, stream, after, upto, mark) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", s.name, slice, head.page, head.next+int64(i), e.stream, e.after, e.upto, mark)
	}
	res, err := b.CAS()
	if res.Outcome == client.Unknown && ctx.Err() == nil {
		return false, nil // The next read of the log shows whether this write was stored.
	}
	return res.Applied(), err
}

// mark stores up to which version a stream was logged. The timestamp of the write is the
// version, so that marks only grow.
func (s *Store) mark(ctx context.Context, stream string, upto int64) error {
	return s.query(ctx, ProfileWrite, "INSERT INTO marks (store, stream, upto) VALUES (?, ?, ?)", s.name, stream, upto).WithTimestamp(upto).Exec()
}

func (s *Store) marked(ctx context.Context, stream string) (int64, error) {
	var upto int64
	err := s.query(ctx, ProfileRead, "SELECT upto FROM marks WHERE store = ? AND stream = ?", s.name, stream).Scan(&upto)
	if errors.Is(err, client.ErrNotFound) {
		return 0, nil
	}
	return upto, err
}

// Feed implements eventstore.Store.
func (s *Store) Feed(ctx context.Context, slice int, after eventstore.Cursor, limit int) (eventstore.FeedPage, error) {
	if err := s.check(); err != nil {
		return eventstore.FeedPage{}, err
	}
	at, err := s.parse(slice, after)
	if err == nil {
		err = s.sameLife(ctx, slice, at)
	}
	if err != nil {
		return eventstore.FeedPage{}, err
	}
	if limit <= 0 || limit > eventstore.MaxEvents {
		limit = eventstore.MaxEvents
	}
	if err := s.sequence(ctx, slice); err != nil {
		return eventstore.FeedPage{}, failed(fmt.Sprintf("sequence slice %d", slice), err)
	}
	out := eventstore.FeedPage{Behind: -1}
	for len(out.Events) < limit {
		entries, err := s.entries(ctx, ProfileRead, slice, at.position/pageEntries, at.position, limit)
		if err != nil {
			return eventstore.FeedPage{}, failed(fmt.Sprintf("read the log of slice %d", slice), err)
		}
		events, next, err := s.expand(ctx, entries, at, limit-len(out.Events))
		if err != nil {
			return eventstore.FeedPage{}, err
		}
		out.Events, at = append(out.Events, events...), next
		if len(entries) < limit && (len(entries) == 0 || at.position%pageEntries != 0) {
			break
		}
	}
	out.Next = s.cursor(slice, at)
	return out, nil
}

// expand reads the events of log entries, up to the given number, and returns where to
// continue.
func (s *Store) expand(ctx context.Context, entries []entry, at place, room int) (all []eventstore.Event, next place, err error) {
	for _, e := range entries {
		// A quorum may not have the entries before this one yet.
		if room == len(all) || e.position != at.position {
			break
		}
		from := max(e.after, at.version)
		events, err := s.logged(ctx, e, from, room-len(all))
		if err != nil {
			return nil, at, err
		}
		all = append(all, events...)
		if from+int64(len(events)) < e.upto {
			return all, place{e.position, from + int64(len(events)), e.mark}, nil
		}
		at = place{e.position + 1, 0, e.mark}
	}
	return all, at, nil
}

// logged reads versions of a stream that the log contains.
func (s *Store) logged(ctx context.Context, e entry, after int64, limit int) ([]eventstore.Event, error) {
	buckets, err := s.buckets(ctx, ProfileRead, e.stream)
	if err == nil && buckets[len(buckets)-1].head < e.upto {
		buckets, err = s.buckets(ctx, ProfileSettle, e.stream)
	}
	if err != nil {
		return nil, failed("load "+e.stream, err)
	}
	return s.stretch(ctx, e.stream, buckets, after, e.upto, limit)
}
