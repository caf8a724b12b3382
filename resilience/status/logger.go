package status

import (
	"context"
	"log/slog"

	"github.com/backstay-go/backstay/resilience"
)

// Logger is a resilience.Listener that writes a guard's events to a log. It is safe for
// concurrent use and needs no closing. Its zero value writes nothing. The log's handler
// runs on the goroutine of the call: one that blocks holds the call up.
//
//	warn   a breaker opened
//	info   a breaker closed or half-opened; the policy was updated
//	debug  an adaptive limit moved; a refusal; a fallback; a pause before a retry; a call
//	       that ended with an error
type Logger struct{ log *slog.Logger }

// NewLogger returns a listener for a log. A nil log writes nothing.
func NewLogger(log *slog.Logger) *Logger { return &Logger{log: log} }

// Handle implements resilience.Listener.
func (l *Logger) Handle(ctx context.Context, e resilience.Event) context.Context {
	if l == nil || l.log == nil {
		return nil
	}
	level, text := levelOf(e)
	if text == "" || !l.log.Enabled(ctx, level) {
		return nil
	}
	attributes := append(make([]slog.Attr, 0, 6), slog.String("dependency", e.Dependency))
	if e.Operation != "" {
		attributes = append(attributes, slog.String("operation", e.Operation))
	}
	switch e.Kind {
	case resilience.BreakerChanged:
		attributes = append(attributes, slog.String("from", e.From.String()), slog.String("to", e.To.String()))
	case resilience.LimitChanged:
		attributes = append(attributes, slog.Int("limit", e.Limit))
	case resilience.FellBack:
		attributes = append(attributes, slog.String("source", e.Source.String()), slog.Duration("age", e.Age))
	case resilience.BackedOff:
		attributes = append(attributes, slog.Int("attempt", e.Attempt), slog.Duration("pause", e.Took))
	case resilience.CallEnded:
		attributes = append(attributes, slog.Int("attempts", e.Attempt), slog.Duration("took", e.Took))
	}
	if e.Err != nil {
		attributes = append(attributes, slog.String("error", shorten(e.Err.Error())))
	}
	l.log.LogAttrs(ctx, level, text, attributes...)
	return nil
}

// levelOf is how much an event matters, and its text; no text for what is not written.
func levelOf(e resilience.Event) (slog.Level, string) {
	switch e.Kind {
	case resilience.BreakerChanged:
		if e.To == resilience.BreakerOpen {
			return slog.LevelWarn, "circuit breaker opened"
		}
		return slog.LevelInfo, "circuit breaker changed"
	case resilience.PolicyUpdated:
		return slog.LevelInfo, "policy updated"
	case resilience.LimitChanged:
		return slog.LevelDebug, "adaptive limit moved"
	case resilience.Refused:
		return slog.LevelDebug, "call refused"
	case resilience.FellBack:
		return slog.LevelDebug, "fallback served"
	case resilience.BackedOff:
		return slog.LevelDebug, "retry after a pause"
	case resilience.CallEnded:
		if e.Err != nil {
			return slog.LevelDebug, "call failed"
		}
	}
	return 0, ""
}
