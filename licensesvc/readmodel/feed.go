package readmodel

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/license"
	"github.com/backstay-go/backstay/licensesvc/wire"
)

const (
	// pageEvents is the highest number of events that are read of a slice at once.
	pageEvents = 500
	// keptPages is the number of decoded pages that are shared by the read models.
	keptPages = 24
)

// Source is the event store as read models use it. eventstore.Store implements it.
type Source interface {
	eventstore.Feeder
	eventstore.Loader
}

// feed reads and decodes pages once for all read models that are at the same place. It is safe for
// concurrent use.
type feed struct {
	store Source
	codec *wire.Codec
	// share is how old a page may be that a reader at the end of a slice gets.
	share time.Duration
	clock func() time.Time

	mu    sync.Mutex
	pages map[pageKey]*page
	order []pageKey // of pages, the oldest first
}

type pageKey struct {
	slice int
	after eventstore.Cursor
}

// page is what the feed answered, decoded.
type page struct {
	items []item
	next  eventstore.Cursor
	// behind is the number of events after the page, or -1.
	behind int64
	err    error
	began  time.Time
	done   chan struct{}
}

// end reports whether nothing was left after the page.
func (p *page) end() bool { return p.behind == 0 || len(p.items) == 0 }

func newFeed(store Source, codec *wire.Codec, share time.Duration, clock func() time.Time) *feed {
	return &feed{store: store, codec: codec, share: share, clock: clock, pages: map[pageKey]*page{}}
}

// read returns the page after a cursor. fresh asks for one that is read from now on.
func (f *feed) read(ctx context.Context, slice int, after eventstore.Cursor, fresh bool) (*page, error) {
	key := pageKey{slice, after}
	for {
		now := f.clock()
		f.mu.Lock()
		p, ok := f.pages[key]
		if ok && !p.usable(now, f.share, fresh) {
			ok = false
		}
		if !ok {
			p = &page{began: now, done: make(chan struct{})}
			f.put(key, p)
		}
		f.mu.Unlock()
		if !ok {
			f.fill(ctx, key, p)
			return p, p.err
		}
		select {
		case <-p.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if p.err == nil {
			return p, nil
		}
		// The page failed for the one that read it, whose context may have ended.
		f.drop(key, p)
	}
}

// usable reports whether a page that was asked for before can be given again: one with a successor
// always, and one at the end of its slice for a while. f.mu is held.
func (p *page) usable(now time.Time, share time.Duration, fresh bool) bool {
	select {
	case <-p.done:
		return p.err == nil && (!p.end() || !fresh && now.Sub(p.began) <= share)
	default:
		return !fresh
	}
}

// put keeps a page, and drops the oldest one. f.mu is held.
func (f *feed) put(key pageKey, p *page) {
	if _, ok := f.pages[key]; !ok {
		f.order = append(f.order, key)
	}
	f.pages[key] = p
	if len(f.order) > keptPages {
		delete(f.pages, f.order[0])
		f.order = f.order[1:]
	}
}

func (f *feed) drop(key pageKey, p *page) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.pages[key] == p {
		delete(f.pages, key)
		for i, k := range f.order {
			if k == key {
				f.order = append(f.order[:i:i], f.order[i+1:]...)
				break
			}
		}
	}
}

func (f *feed) fill(ctx context.Context, key pageKey, p *page) {
	defer close(p.done)
	got, err := f.store.Feed(ctx, key.slice, key.after, pageEvents)
	if err != nil {
		p.err = err
		return
	}
	p.next, p.behind, p.items = got.Next, got.Behind, f.decode(got.Events)
}

// decode decodes stored events. One that can't be decoded becomes poison.
func (f *feed) decode(stored []eventstore.Event) []item {
	items := make([]item, len(stored))
	for i, e := range stored {
		items[i].Event = e
		decoded, err := f.decodeOne(e)
		if err != nil {
			items[i].poison, items[i].cause = err, "decode"
			continue
		}
		items[i].events = make([]Event, len(decoded))
		for n, d := range decoded {
			items[i].events[n] = Event{Stream: e.Stream, Version: e.Version, Index: n, Recorded: e.Recorded, Event: d}
			if u, ok := d.(license.Unknown); ok {
				items[i].poison, items[i].cause = fmt.Errorf("a newer version of this program recorded %s@%d, which this one can't interpret", u.Type, u.Schema), "newer"
			}
		}
	}
	return items
}

func (f *feed) decodeOne(e eventstore.Event) (events []license.Event, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: stream %s version %d: an upcaster of %s panics: %v", eventstore.ErrCorrupt, e.Stream, e.Version, e.Type, p)
		}
	}()
	return f.codec.Decode(e)
}
