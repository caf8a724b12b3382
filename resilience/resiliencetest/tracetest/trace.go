package tracetest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// Trace is the tree of one trace's spans. It must not be modified.
type Trace struct {
	ID string
	// Spans are in the order of their start times.
	Spans []*Span
	// Roots are the spans whose parent is not in the trace.
	Roots []*Span
}

// Span is one span of a trace.
type Span struct {
	ID, Name, Service string
	// Kind is internal, server, client, producer, consumer, or empty.
	Kind string
	// Status is empty (unset), ok or error; Message is its description.
	Status, Message string
	Start, End      time.Time
	// Tags are the attributes, with their values as text.
	Tags     map[string]string
	Events   []Event
	Links    []Link
	Parent   *Span   // nil for a root
	Children []*Span // in the order of their start times
}

// Event is an event of a span.
type Event struct {
	Name string
	At   time.Time
	Tags map[string]string
}

// Link is a link to another span.
type Link struct{ TraceID, SpanID string }

// All returns the spans with that name, in the order of their start times.
func (t *Trace) All(name string) []*Span {
	var found []*Span
	for _, s := range t.Spans {
		if s.Name == name {
			found = append(found, s)
		}
	}
	return found
}

// One returns the only span with that name. The test fails if there is none, or more than one.
func (t *Trace) One(tb testing.TB, name string) *Span {
	tb.Helper()
	found := t.All(name)
	if len(found) != 1 {
		tb.Fatalf("tracetest: %d spans %q, want 1:\n%s", len(found), name, t)
	}
	return found[0]
}

// String returns the tree of spans as text: names, statuses and events, but no times and no ids,
// so that a test can compare it as a whole.
func (t *Trace) String() string {
	if t == nil {
		return "(nothing)"
	}
	var b strings.Builder
	for _, root := range t.Roots {
		root.draw(&b, 0)
	}
	return b.String()
}

func (s *Span) draw(b *strings.Builder, depth int) {
	indent := strings.Repeat("  ", depth)
	fmt.Fprintf(b, "%s%s", indent, s.Name)
	if s.Kind != "" && s.Kind != "internal" {
		fmt.Fprintf(b, " [%s]", s.Kind)
	}
	if s.Status != "" {
		fmt.Fprintf(b, " (%s)", s.Status)
	}
	b.WriteByte('\n')
	for _, e := range s.Events {
		fmt.Fprintf(b, "%s  * %s\n", indent, e.Name)
	}
	for _, child := range s.Children {
		child.draw(b, depth+1)
	}
}

// Want fails the test if the span lacks one of the tags, each written as key=value. An empty
// value means that the span must not have the tag.
func (s *Span) Want(tb testing.TB, tags ...string) {
	tb.Helper()
	want(tb, fmt.Sprintf("span %q", s.Name), s.Tags, tags)
}

// Event returns the span's only event with that name.
func (s *Span) Event(tb testing.TB, name string) Event {
	tb.Helper()
	var found []Event
	for _, e := range s.Events {
		if e.Name == name {
			found = append(found, e)
		}
	}
	if len(found) != 1 {
		tb.Fatalf("tracetest: span %q has %d events %q, want 1", s.Name, len(found), name)
	}
	return found[0]
}

// Want checks tags as Span.Want does.
func (e Event) Want(tb testing.TB, tags ...string) {
	tb.Helper()
	want(tb, fmt.Sprintf("event %q", e.Name), e.Tags, tags)
}

func want(tb testing.TB, who string, have map[string]string, tags []string) {
	tb.Helper()
	for _, tag := range tags {
		key, value, ok := strings.Cut(tag, "=")
		if !ok {
			tb.Fatalf("tracetest: %q is not key=value", tag)
		}
		if have[key] != value {
			tb.Errorf("%s: %s is %q, want %q; all: %v", who, key, have[key], value, slices.Sorted(maps.Keys(have)))
		}
	}
}

// WantOrder fails the test unless the span's children and events with these names happened in
// this order, each begun when the one before had ended. A name that is given twice stands for
// two of them. Children and events with other names may come between.
//
//	call.WantOrder(t, "catalog/plan attempt", "catalog/plan attempt", "backstay.fell_back")
func (s *Span) WantOrder(tb testing.TB, names ...string) {
	tb.Helper()
	type moment struct {
		name       string
		start, end time.Time
	}
	var all []moment
	for _, c := range s.Children {
		all = append(all, moment{c.Name, c.Start, c.End})
	}
	for _, e := range s.Events {
		all = append(all, moment{e.Name, e.At, e.At})
	}
	// Of those that can be next, the one that ends first leaves the most room for the others.
	slices.SortStableFunc(all, func(a, b moment) int { return cmp.Or(a.end.Compare(b.end), a.start.Compare(b.start)) })
	var free time.Time // since when the next one may begin
	for i, name := range names {
		at := slices.IndexFunc(all, func(m moment) bool { return m.name == name && !m.start.Before(free) })
		if at < 0 {
			tb.Errorf("tracetest: span %q: no %q after %q:\n%s", s.Name, name, names[:i], s)
			return
		}
		free = all[at].end
		all = slices.Delete(all, at, at+1)
	}
}

// String returns the span and those below it, as Trace.String does.
func (s *Span) String() string {
	var b strings.Builder
	s.draw(&b, 0)
	return b.String()
}

// New makes a trace from its spans and the ids of their parents. The order of the spans does not
// matter. It sets Parent and Children.
func New(id string, spans []*Span, parents map[*Span]string) *Trace {
	t := &Trace{ID: id, Spans: slices.Clone(spans)}
	known := map[string]*Span{}
	for _, s := range t.Spans {
		known[s.ID] = s
	}
	slices.SortStableFunc(t.Spans, func(a, b *Span) int {
		return cmp.Or(a.Start.Compare(b.Start), -a.End.Compare(b.End), cmp.Compare(a.ID, b.ID))
	})
	for _, s := range t.Spans {
		if s.Parent = known[parents[s]]; s.Parent == nil {
			t.Roots = append(t.Roots, s)
		} else {
			s.Parent.Children = append(s.Parent.Children, s)
		}
	}
	return t
}
