package sqlite

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
)

// The attributes of an attempt's span. They tell a conflict from an append that was applied, and
// a load that folded on a snapshot from one of the whole stream.
const (
	// OutcomeKey is applied, conflict, rejected or unknown.
	OutcomeKey = attribute.Key("eventstore.outcome")
	// RepeatedKey says that the commit had already been stored before.
	RepeatedKey = attribute.Key("eventstore.repeated")
	// VersionKey is the version of the stream, and EventsKey the number of events that were read
	// or stored.
	VersionKey = attribute.Key("eventstore.version")
	EventsKey  = attribute.Key("eventstore.events")
	// SnapshotKey says whether there was a snapshot.
	SnapshotKey = attribute.Key("eventstore.snapshot_found")

	systemKey = attribute.Key("db.system.name")
)

// mark writes what became of a call to the span of its attempt. The text of an outcome is only
// made if somebody records it.
func mark(ctx context.Context, attributes func() []attribute.KeyValue) {
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		span.SetAttributes(append(attributes(), systemKey.String("sqlite"))...)
	}
}

func markAppended(ctx context.Context, a eventstore.Appended) {
	mark(ctx, func() []attribute.KeyValue {
		return []attribute.KeyValue{OutcomeKey.String(a.Outcome.String()), VersionKey.Int64(a.Version), EventsKey.Int(len(a.Events)), RepeatedKey.Bool(a.Repeated)}
	})
}

func markLoaded(ctx context.Context, p eventstore.Page) {
	mark(ctx, func() []attribute.KeyValue {
		return []attribute.KeyValue{VersionKey.Int64(p.Version), EventsKey.Int(len(p.Events))}
	})
}
