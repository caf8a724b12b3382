package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/license"
	"github.com/backstay-go/backstay/licensesvc/wire"
)

// studioTag is the tag of events that change what a studio's limit over all members counts.
func studioTag(studio string) string { return "studio:" + studio }

// spanning reads what decisions depend on that span members. It remembers, for each studio with a
// limit, the holders up to a position, and reads on from there for each decision. It is safe for
// concurrent use.
type spanning struct {
	store eventstore.TagLoader
	codec *wire.Codec

	mu      sync.Mutex
	studios map[string]*studio
}

// studio holds what is known about one studio. One decision at a time reads on, so that the decisions
// of a studio share what was read: it has its turn while its token is in the channel.
type studio struct {
	turn    chan struct{}
	at      eventstore.Position
	holders license.Holders
}

// openSpanning returns nil if the store can't check conditions over several streams. If the rules
// need that, it is an error that names them.
func openSpanning(store eventstore.LoadAppender, codec *wire.Codec, rules license.Rules) (*spanning, error) {
	err := fmt.Errorf("%w: it does not load by tags", eventstore.ErrUnsupported)
	if tags, ok := store.(eventstore.TagLoader); ok {
		if err = tags.CheckTags(); err == nil {
			return &spanning{store: tags, codec: codec, studios: map[string]*studio{}}, nil
		}
	}
	if len(rules.Spanning()) == 0 {
		return nil, nil
	}
	return nil, unsupported(rules, err)
}

func unsupported(rules license.Rules, cause error) error {
	return fmt.Errorf("app: rules: studio_concurrent (%s) limits licenses over all members, which this event store can't do: %w; remove it from the rules, or use SQLite",
		strings.Join(rules.Spanning(), ", "), cause)
}

// read reads a studio's holders. Position and holders belong together: a decision on the holders
// is stored only if no event of the studio was stored after the position.
func (s *spanning) read(ctx context.Context, name string, c *command) (license.Holders, *eventstore.Condition, error) {
	s.mu.Lock()
	one, ok := s.studios[name]
	if !ok {
		one = &studio{turn: make(chan struct{}, 1)}
		s.studios[name] = one
	}
	s.mu.Unlock()
	query := eventstore.TagQuery{Tags: []string{studioTag(name)}}
	select {
	case one.turn <- struct{}{}:
	case <-ctx.Done():
		return license.Holders{}, nil, ctx.Err()
	}
	defer func() { <-one.turn }()
	err := s.readOn(ctx, one, query, c)
	if errors.Is(err, eventstore.ErrEpoch) { // The store was restored: what was read may be gone.
		one.at, one.holders = "", license.Holders{}
		err = s.readOn(ctx, one, query, c)
	}
	return one.holders, &eventstore.Condition{TagQuery: query, After: one.at}, err
}

func (s *spanning) readOn(ctx context.Context, one *studio, query eventstore.TagQuery, c *command) error {
	for {
		page, err := s.store.LoadTagged(ctx, query, one.at, eventstore.MaxEvents)
		if err != nil {
			return err
		}
		events, err := s.codec.DecodeAll(page.Events)
		if err != nil {
			return err
		}
		holders, err := one.holders.Fold(c.at, events...)
		if err != nil {
			return err
		}
		one.at, one.holders = page.Position, holders
		if !page.More {
			return nil
		}
	}
}

// remembered returns the holders as far as they were read, for promises while the store is not
// available. What a promise exceeded is found when it is stored.
func (s *spanning) remembered(name string) license.Holders {
	s.mu.Lock()
	one := s.studios[name]
	s.mu.Unlock()
	if one == nil {
		return license.Holders{}
	}
	select {
	case one.turn <- struct{}{}:
		defer func() { <-one.turn }()
		return one.holders
	default: // A decision is reading on.
		return license.Holders{}
	}
}

// counting returns a decideFunc that adds to a command what a limit over all members counts, and
// the condition under which the decision may be stored.
func (s *Service) counting(ctx context.Context, c *command, decide decideFunc, condition **eventstore.Condition) decideFunc {
	return func(state license.State) (license.Command, error) {
		*condition = nil
		cmd, err := decide(state)
		if err != nil {
			return cmd, err
		}
		rules := s.Rules()
		studio, spans := license.Spans(state, cmd, rules)
		switch {
		case !spans:
			return cmd, nil
		case s.spanning == nil: // The rules came after the start.
			return cmd, unsupported(rules, eventstore.ErrUnsupported)
		}
		holders, cond, err := s.spanning.read(ctx, studio, c)
		if err != nil {
			return cmd, err
		}
		*condition = cond
		return license.Held(cmd, holders)
	}
}

// recounted is counting without the store, on what is remembered.
func (s *Service) recounted(decide decideFunc) decideFunc {
	return func(state license.State) (license.Command, error) {
		cmd, err := decide(state)
		if err != nil || s.spanning == nil {
			return cmd, err
		}
		studio, spans := license.Spans(state, cmd, s.Rules())
		if !spans {
			return cmd, nil
		}
		return license.Held(cmd, s.spanning.remembered(studio))
	}
}

// tag adds the studio's tag to the events that change how many of its licenses are in force. They
// are tagged whether or not the studio has a limit, so that one that is set later counts them.
func (s *Service) tag(stored []eventstore.Event, studio string) {
	if s.spanning == nil || studio == "" || len(studioTag(studio)) > eventstore.MaxTagBytes {
		return
	}
	for i := range stored {
		if stored[i].Type != license.KindDownloaded {
			stored[i].Tags = []string{studioTag(studio)}
		}
	}
}
