package status

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

const (
	defaultEvents = 200
	maxEvents     = 10_000
	// maxText bounds an error's text, in bytes: a panic's has a stack.
	maxText = 300
)

// Config says what a Status keeps and who may change something with it.
type Config struct {
	// Token is what a request that changes something must bring, as
	// "Authorization: Bearer TOKEN". At least 16 bytes. Default: empty, and every such
	// request is refused.
	Token string
	// Events is how many recent events are kept, 1 to 10,000. Default: 200.
	Events int
	_      struct{}
}

// Status is a resilience.Listener that remembers recent events, and an http.Handler that
// shows them with the snapshots of the guards it was given. It is safe for concurrent use
// and needs no closing. Its zero value is not of use. It runs no code of users.
type Status struct {
	token string

	mu     sync.Mutex
	guards []*resilience.Guard
	ring   []Event // in a circle once it is full; next is the oldest
	next   int
	now    func() time.Time
}

// New checks the configuration.
func New(c Config) (*Status, error) {
	var errs []error
	if c.Token != "" && len(c.Token) < 16 {
		errs = append(errs, fmt.Errorf("status: Token has %d bytes: use 16 or more, or none to forbid changes", len(c.Token)))
	}
	if c.Events < 0 || c.Events > maxEvents {
		errs = append(errs, fmt.Errorf("status: Events is %d: use 1 to %d, or 0 for %d", c.Events, maxEvents, defaultEvents))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if c.Events == 0 {
		c.Events = defaultEvents
	}
	return &Status{token: c.Token, ring: make([]Event, 0, c.Events), now: time.Now}, nil
}

// Add shows a guard. A nil one, and a second one of the same name, are refused. The guard
// belongs to its maker.
func (s *Status) Add(g *resilience.Guard) error {
	if g.Name() == "" {
		return errors.New("status: Add of a nil guard")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, known := range s.guards {
		if known == g {
			return nil
		}
		if known.Name() == g.Name() {
			return fmt.Errorf("status: a guard %q is shown already: give each guard its own name, or Remove the old one", g.Name())
		}
	}
	s.guards = append(s.guards, g)
	return nil
}

// Remove shows a guard no more. Its events stay.
func (s *Status) Remove(g *resilience.Guard) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, known := range s.guards {
		if known == g {
			s.guards = append(s.guards[:i:i], s.guards[i+1:]...)
			return
		}
	}
}

// Event is what happened to a dependency's guard, as it is shown. It is a value.
type Event struct {
	// Time is when it happened; Last when it happened last, if that was oftener than once.
	Time time.Time `json:"time"`
	Last time.Time `json:"last,omitzero"`
	// Times is how often it happened, with no change of the guard's breaker or policy between.
	Times int `json:"times"`
	// Kind is breaker_changed, limit_changed, policy_updated, refused or fell_back.
	Kind       string `json:"kind"`
	Dependency string `json:"dependency"`
	Operation  string `json:"operation,omitempty"`
	// From and To are states of a breaker.
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
	// Source is where a fallback's value came from.
	Source string `json:"source,omitempty"`
	// Limit is what an adaptive limit is now.
	Limit int `json:"limit,omitempty"`
	// Error is what opened the breaker, who refused, or what was stood in for.
	Error string `json:"error,omitempty"`
}

// kinds are the events that are shown. All others are of single calls that went as they
// should, or are part of what is shown.
var kinds = map[resilience.EventKind]string{
	resilience.BreakerChanged: "breaker_changed",
	resilience.LimitChanged:   "limit_changed",
	resilience.PolicyUpdated:  "policy_updated",
	resilience.Refused:        "refused",
	resilience.FellBack:       "fell_back",
}

// Handle implements resilience.Listener.
func (s *Status) Handle(_ context.Context, e resilience.Event) context.Context {
	kind := kinds[e.Kind]
	if kind == "" {
		return nil
	}
	shown := Event{Times: 1, Kind: kind, Dependency: e.Dependency, Operation: e.Operation, Limit: e.Limit}
	switch e.Kind {
	case resilience.BreakerChanged:
		shown.From, shown.To = e.From.String(), e.To.String()
	case resilience.FellBack:
		shown.Source = e.Source.String()
	}
	if e.Err != nil {
		shown.Error = shorten(e.Err.Error())
	}
	s.add(shown)
	return nil
}

func (s *Status) add(e Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.Time = s.now()
	if last := s.sameLocked(e); last != nil {
		last.Times++
		last.Last, last.Limit, last.Error = e.Time, e.Limit, e.Error
		return
	}
	if len(s.ring) < cap(s.ring) {
		s.ring = append(s.ring, e)
		return
	}
	s.ring[s.next] = e
	s.next = (s.next + 1) % len(s.ring)
}

// sameLocked is an earlier event that an event repeats, apart from its figures, or nil. A
// change of the same guard's breaker or policy parts what came before it from what comes
// after.
func (s *Status) sameLocked(next Event) *Event {
	for i := range len(s.ring) {
		e := &s.ring[(s.next+len(s.ring)-1-i)%len(s.ring)]
		if e.Dependency != next.Dependency {
			continue
		}
		if e.Kind == next.Kind && e.Operation == next.Operation && e.From == next.From && e.To == next.To && e.Source == next.Source {
			return e
		}
		if e.Kind == kinds[resilience.BreakerChanged] || e.Kind == kinds[resilience.PolicyUpdated] {
			return nil
		}
	}
	return nil
}

// Events returns the recent events, the oldest first.
func (s *Status) Events() []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append(append(make([]Event, 0, len(s.ring)), s.ring[s.next:]...), s.ring[:s.next]...)
}

// Snapshots returns the snapshots of the guards, in the order in which they were added.
func (s *Status) Snapshots() []resilience.Snapshot {
	s.mu.Lock()
	guards := append([]*resilience.Guard(nil), s.guards...)
	s.mu.Unlock()
	all := make([]resilience.Snapshot, len(guards))
	for i, g := range guards {
		all[i] = g.Snapshot()
	}
	return all
}

func (s *Status) guard(name string) *resilience.Guard {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.guards {
		if g.Name() == name {
			return g
		}
	}
	return nil
}

func shorten(text string) string {
	if len(text) > maxText {
		text = text[:maxText] + " …"
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}
