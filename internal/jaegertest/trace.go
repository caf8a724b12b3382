package jaegertest

import (
	"encoding/json"
	"time"

	"github.com/backstay-go/backstay/resilience/resiliencetest/tracetest"
)

// These types are a trace as Jaeger stores it. Jaeger's store keeps no attributes of links.
type (
	Trace = tracetest.Trace
	Span  = tracetest.Span
	Event = tracetest.Event
	Link  = tracetest.Link
)

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
	var spans []*Span
	parents := map[*Span]string{}
	for _, part := range parts {
		service := tagsOf(part.Resource.Attributes)["service.name"]
		for _, scope := range part.ScopeSpans {
			for _, j := range scope.Spans {
				s := j.span(service)
				spans = append(spans, s)
				parents[s] = j.ParentSpanID
			}
		}
	}
	return tracetest.New(id, spans, parents)
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
