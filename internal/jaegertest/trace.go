package jaegertest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// Trace is a trace as Jaeger stores it. It must not be modified.
type Trace struct {
	ID string
	// Spans are in the order of their start times.
	Spans []*Span
	// Roots are the spans whose parent Jaeger does not have.
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
	Parent   *Span // nil for a root
	Children []*Span
}

// Event is an event of a span.
type Event struct {
	Name string
	At   time.Time
	Tags map[string]string
}

// Link is a link to another span. Jaeger's store keeps no attributes of links.
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
		tb.Fatalf("jaegertest: %d spans %q, want 1:\n%s", len(found), name, t)
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
		tb.Fatalf("jaegertest: span %q has %d events %q, want 1", s.Name, len(found), name)
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
			tb.Fatalf("jaegertest: %q is not key=value", tag)
		}
		if have[key] != value {
			tb.Errorf("%s: %s is %q, want %q; all: %v", who, key, have[key], value, slices.Sorted(maps.Keys(have)))
		}
	}
}

// These types are the answers of Jaeger's query API v3, which are OTLP as JSON.
type (
	resourceSpans struct {
		Resource   struct{ Attributes []keyValue }
		ScopeSpans []struct{ Spans []spanJSON }
	}
	spanJSON struct {
		SpanID, ParentSpanID string
		Name                 string
		Kind                 int
		Start                int64 `json:"startTimeUnixNano,string"`
		End                  int64 `json:"endTimeUnixNano,string"`
		Attributes           []keyValue
		Events               []struct {
			At         int64 `json:"timeUnixNano,string"`
			Name       string
			Attributes []keyValue
		}
		Links  []struct{ TraceID, SpanID string }
		Status struct {
			Code    int
			Message string
		}
	}
	keyValue struct {
		Key   string
		Value map[string]json.RawMessage // has one entry: stringValue, intValue, ...
	}
)

var (
	kinds    = []string{"", "internal", "server", "client", "producer", "consumer"}
	statuses = []string{"", "ok", "error"}
)

func newTrace(id string, parts []resourceSpans) *Trace {
	t := &Trace{ID: id}
	known, parents := map[string]*Span{}, map[*Span]string{}
	for _, part := range parts {
		service := tagsOf(part.Resource.Attributes)["service.name"]
		for _, scope := range part.ScopeSpans {
			for _, j := range scope.Spans {
				s := j.span(service)
				t.Spans = append(t.Spans, s)
				known[s.ID], parents[s] = s, j.ParentSpanID
			}
		}
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

func (j *spanJSON) span(service string) *Span {
	s := &Span{ID: j.SpanID, Name: j.Name, Service: service, Message: j.Status.Message,
		Start: time.Unix(0, j.Start), End: time.Unix(0, j.End), Tags: tagsOf(j.Attributes)}
	if j.Kind >= 0 && j.Kind < len(kinds) {
		s.Kind = kinds[j.Kind]
	}
	if j.Status.Code >= 0 && j.Status.Code < len(statuses) {
		s.Status = statuses[j.Status.Code]
	}
	for _, e := range j.Events {
		s.Events = append(s.Events, Event{Name: e.Name, At: time.Unix(0, e.At), Tags: tagsOf(e.Attributes)})
	}
	for _, l := range j.Links {
		s.Links = append(s.Links, Link(l))
	}
	return s
}

func tagsOf(attributes []keyValue) map[string]string {
	tags := map[string]string{}
	for _, a := range attributes {
		for _, v := range a.Value {
			text := string(v)
			if err := json.Unmarshal(v, &text); err != nil {
				text = string(v) // a number, a boolean or a list
			}
			tags[a.Key] = text
		}
	}
	return tags
}
