package telemetry_test

import (
	"strings"
	"testing"
	"time"

	"github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/clients/cassandra/telemetry"
	"github.com/backstay-go/backstay/internal/cqltest"
	"github.com/backstay-go/backstay/resilience"
	"go.opentelemetry.io/otel/baggage"
)

// TestPayload: queries and batches carry the trace, with their own span as the parent,
// and the baggage.
func TestPayload(t *testing.T) {
	cluster := cqltest.Start(t, cqltest.Config{Nodes: 1})
	const insert = "INSERT INTO t (id, v) VALUES (?, ?)"
	cluster.On(insert, cqltest.Statement{Answer: (*cqltest.Request).Void})
	r := newRig(t, 0)
	s, err := cassandra.Connect(t.Context(), cassandra.Config{
		Hosts: cluster.Hosts(), Port: cluster.Port(), Observers: []cassandra.Observer{r}, Payload: telemetry.Payload,
		Profiles: map[string]cassandra.Profile{"write": {Consistency: cassandra.One, OperationPolicy: resilience.OperationPolicy{Timeout: 20 * time.Second}}},
	})
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	member, err := baggage.NewMemberRaw("backstay.chaos", "canary")
	must(t, err)
	bag, err := baggage.New(member)
	must(t, err)
	ctx := baggage.ContextWithBaggage(t.Context(), bag)
	must(t, s.Query(insert, "a", "b").WithContext(ctx).Exec())
	must(t, s.NewBatch(cassandra.LoggedBatch).WithContext(ctx).Query(insert, "a", "b").Exec())
	received, spans := cluster.Received(insert), r.spans.Ended()
	if len(received) != 2 || len(spans) != 2 {
		t.Fatalf("%d requests with %d spans, want 2", len(received), len(spans))
	}
	for i, got := range received {
		of := spans[i].SpanContext()
		if head := string(got.Payload["traceparent"]); !strings.Contains(head, of.TraceID().String()+"-"+of.SpanID().String()) {
			t.Errorf("traceparent %q is not that of span %s", head, of.SpanID())
		}
		if head := string(got.Payload["baggage"]); head != "backstay.chaos=canary" {
			t.Errorf("baggage %q", head)
		}
	}
	if got := telemetry.Payload(t.Context()); got != nil {
		t.Errorf("without a trace: %v", got)
	}
}
