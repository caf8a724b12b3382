package simulate

import (
	"context"
	"time"

	"github.com/backstay-go/backstay/resilience"
)

// states is a listener that records what the guard's breaker and limit do.
type states struct {
	now     func() time.Duration
	changes []Span
	limits  []Limit
}

// Handle implements resilience.Listener.
func (s *states) Handle(_ context.Context, e resilience.Event) context.Context {
	switch e.Kind {
	case resilience.BreakerChanged:
		s.changes = append(s.changes, Span{From: s.now(), State: e.To})
	case resilience.LimitChanged:
		s.limits = append(s.limits, Limit{At: s.now(), Limit: e.Limit})
	}
	return nil
}

// spans returns the breaker's states until the end.
func (s *states) spans(end time.Duration) []Span {
	spans := []Span{{State: resilience.BreakerClosed}}
	for _, c := range s.changes {
		if c.From >= end {
			break
		}
		spans[len(spans)-1].To = c.From
		spans = append(spans, c)
	}
	spans[len(spans)-1].To = end
	return spans
}
