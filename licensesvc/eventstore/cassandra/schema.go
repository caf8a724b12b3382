package cassandra

import (
	"strings"

	"github.com/backstay-go/backstay/licensesvc/eventstore/schema"
)

// A coordinator that has waited 50 ms for a replica asks another, because a paused replica would
// otherwise cost it the whole attempt.
const tableOptions = ` WITH compaction = {'class': 'UnifiedCompactionStrategy'} AND speculative_retry = '50ms'`

// Schema returns the steps that make the tables of a keyspace. A released step is never changed;
// a change is a further step.
//
// In streams, kind 0 is an event and kind 1 a commit; the columns of the other kind are null.
// Events have no TTL and are never deleted. The static column epoch is part of the condition of
// every append, so that raising it by a conditional statement stops each attempt that was made
// before; nothing raises it yet. The static column before is a filter of the ids of all commits
// in the bucket before.
func Schema() schema.Schema {
	var s schema.Schema
	s.Tables = map[string]map[string]string{}
	first := schema.Step{Name: "streams, feed and snapshots", Breaks: true}
	add := func(table, columns, key, options string) {
		text := "CREATE TABLE IF NOT EXISTS " + table + " (" + columns + ", PRIMARY KEY (" + key + "))" + tableOptions + options
		first.Statements = append(first.Statements, schema.Statement{Text: text})
		s.Tables[table] = map[string]string{}
		for _, column := range strings.Split(columns, ", ") {
			name, kind, _ := strings.Cut(column, " ")
			s.Tables[table][name] = kind
		}
	}
	add("streams", "store text, stream text, bucket int, kind tinyint, commit_id text, version bigint, "+
		"head bigint static, base bigint static, sealed boolean static, size int static, epoch bigint static, before blob static, fence text static, "+
		"id text, type text, schema_version int, by_commit text, occurred bigint, recorded bigint, "+
		"cause text, correlation text, trace text, actor text, data blob, "+
		"first bigint, last bigint, fenced boolean, fingerprint text",
		"(store, stream, bucket), kind, commit_id, version", "")
	// If a replica missed a deletion, the intent comes back, which is harmless. Tombstones may
	// therefore be removed early.
	add("intents", "store text, slice int, bucket bigint, stream text, commit_id text, attempt text, expected bigint",
		"(store, slice, bucket), stream, commit_id, attempt", " AND gc_grace_seconds = 3600")
	add("intakes", "store text, slice int, settled bigint, open bigint", "(store, slice)", "")
	add("feed", "store text, slice int, page bigint, position bigint, next bigint static, events bigint static, "+
		"stream text, after bigint, upto bigint, mark text",
		"(store, slice, page), position", "")
	add("marks", "store text, stream text, upto bigint", "(store, stream)", "")
	add("snapshots", "store text, stream text, fold int, version bigint, data blob", "(store, stream), fold", "")
	add("stores", "store text, epoch text", "store", "")
	s.Steps = []schema.Step{first}
	return s
}
