package timeline

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/backstay-go/backstay/internal/suggest"
)

// ErrPoint matches the errors about points that can't be read.
var ErrPoint = errors.New("timeline: not a point in a history")

// By says which of an event's times a point in time is compared with.
type By string

// The two times of an event.
const (
	// Recorded asks what was known: the state that the service had at that time.
	Recorded By = "recorded"
	// Occurred asks what had happened: the events that occurred until then, also those that were
	// reported later.
	Occurred By = "occurred"
)

// ParseBy reads a By. Empty means Recorded.
func ParseBy(text string) (By, error) {
	switch by := By(text); by {
	case "":
		return Recorded, nil
	case Recorded, Occurred:
		return by, nil
	}
	return "", fmt.Errorf("%w: by %q: there are recorded (what was known then) and occurred (what had happened then)%s", ErrPoint, text,
		suggest.Phrase(text, func(yield func(string) bool) { _ = yield(string(Recorded)) && yield(string(Occurred)) }))
}

// Point selects a place in a history. The zero value is the end: everything that is known.
type Point struct {
	// Version is the number of the last event that counts. It is used if Versioned is true; 0 is
	// the state before the first event.
	Version   int64
	Versioned bool
	// At is the time of the question, and By says which time of the events it is compared with.
	// Zero: the end.
	At time.Time
	By By
}

// AtVersion returns the point after the first n events.
func AtVersion(n int64) Point { return Point{Version: n, Versioned: true} }

// AtTime returns the point of a time.
func AtTime(at time.Time, by By) Point { return Point{At: at.UTC(), By: by} }

// ParsePoint reads a version, such as 7; a time, such as 2026-11-29T12:00:00Z; a day, such as
// 2026-11-29, which means its beginning in UTC; or nothing, which means the end.
func ParsePoint(text string, by By) (Point, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return Point{}, nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		if n < 0 {
			return Point{}, fmt.Errorf("%w: version %d: versions count from 1, and 0 is the time before the first event", ErrPoint, n)
		}
		return AtVersion(n), nil
	}
	at, err := parseTime(text)
	if err != nil {
		return Point{}, fmt.Errorf("%w: %q is neither a version, such as 7, nor a time, such as 2026-11-29T12:00:00Z or 2026-11-29", ErrPoint, text)
	}
	return AtTime(at, by), nil
}

// parseTime reads a time of RFC 3339, or a day, which means its beginning in UTC.
func parseTime(text string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%w: %q is no time: write 2026-11-29T12:00:00Z, or 2026-11-29", ErrPoint, text)
}

// ParseRange reads two points, written as A..B. Each may be left out: before A.. is the beginning
// of the history, and after ..B is its end.
func ParseRange(text string, by By) (from, to Point, err error) {
	first, second, ok := strings.Cut(text, "..")
	if !ok {
		return from, to, fmt.Errorf("%w: %q: write two versions or times, such as 3..7", ErrPoint, text)
	}
	if strings.TrimSpace(first) == "" {
		first = "0"
	}
	if from, err = ParsePoint(first, by); err != nil {
		return from, to, err
	}
	to, err = ParsePoint(second, by)
	return from, to, err
}

// String describes the point in words.
func (p Point) String() string {
	switch {
	case p.Versioned:
		return fmt.Sprintf("at version %d", p.Version)
	case p.At.IsZero():
		return "now"
	case p.By == Occurred:
		return fmt.Sprintf("as it had happened by %s", stamp(p.At))
	}
	return fmt.Sprintf("as it was known at %s", stamp(p.At))
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
