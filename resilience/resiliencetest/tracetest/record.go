package tracetest

import (
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// Of returns the trace whose root span has a name, from spans that have ended. A span whose
// parent was not recorded is a root. The test fails if there is none, or more than one.
func Of(tb testing.TB, spans []sdktrace.ReadOnlySpan, root string) *Trace {
	tb.Helper()
	var found []*Trace
	all := Traces(spans)
	for _, t := range all {
		for _, r := range t.Roots {
			if r.Name == root {
				found = append(found, t)
			}
		}
	}
	if len(found) != 1 {
		var there strings.Builder
		for _, t := range all {
			there.WriteString(t.String())
		}
		tb.Fatalf("tracetest: %d traces with the root %q, want 1; there are:\n%s", len(found), root, there.String())
	}
	return found[0]
}

// Traces returns every trace of spans that have ended, in the order in which their first spans
// ended.
func Traces(spans []sdktrace.ReadOnlySpan) []*Trace {
	var order []string
	of, parents := map[string][]*Span{}, map[*Span]string{}
	for _, s := range spans {
		id := s.SpanContext().TraceID().String()
		if of[id] == nil {
			order = append(order, id)
		}
		span := spanOf(s)
		of[id] = append(of[id], span)
		if s.Parent().HasSpanID() {
			parents[span] = s.Parent().SpanID().String()
		}
	}
	traces := make([]*Trace, 0, len(order))
	for _, id := range order {
		traces = append(traces, New(id, of[id], parents))
	}
	return traces
}

func spanOf(s sdktrace.ReadOnlySpan) *Span {
	span := &Span{ID: s.SpanContext().SpanID().String(), Name: s.Name(), Kind: s.SpanKind().String(), Message: s.Status().Description,
		Start: s.StartTime(), End: s.EndTime(), Tags: tags(s.Attributes())}
	if s.Status().Code != codes.Unset {
		span.Status = strings.ToLower(s.Status().Code.String())
	}
	if name, ok := s.Resource().Set().Value("service.name"); ok {
		span.Service = name.AsString()
	}
	for _, e := range s.Events() {
		span.Events = append(span.Events, Event{Name: e.Name, At: e.Time, Tags: tags(e.Attributes)})
	}
	for _, l := range s.Links() {
		span.Links = append(span.Links, Link{TraceID: l.SpanContext.TraceID().String(), SpanID: l.SpanContext.SpanID().String()})
	}
	return span
}

func tags(attributes []attribute.KeyValue) map[string]string {
	all := map[string]string{}
	for _, a := range attributes {
		all[string(a.Key)] = a.Value.String()
	}
	return all
}
