package cassandra

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	client "github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/resilience"
)

// tables are the statements that make the tables of a keyspace. In events, kind 0 is an event and
// kind 1 a commit; the columns of the other kind are null. Events have no TTL and are never
// deleted. A coordinator that has waited 50 ms for a replica asks another, because a paused
// replica would otherwise cost it the whole attempt.
var tables = []string{
	`CREATE TABLE IF NOT EXISTS streams (
		store text, stream text, bucket int, kind tinyint, commit_id text, version bigint,
		head bigint static, base bigint static, sealed boolean static, size int static,
		id text, type text, schema_version int, by_commit text, occurred bigint, recorded bigint,
		cause text, correlation text, trace text, actor text, data blob,
		first bigint, last bigint, fenced boolean, fingerprint text,
		PRIMARY KEY ((store, stream, bucket), kind, commit_id, version))
		WITH compaction = {'class': 'UnifiedCompactionStrategy'} AND speculative_retry = '50ms'`,
	// If a replica missed a deletion, the intent comes back, which is harmless. Tombstones may
	// therefore be removed early.
	`CREATE TABLE IF NOT EXISTS intents (
		store text, slice int, bucket bigint, stream text, commit_id text, attempt text, expected bigint,
		PRIMARY KEY ((store, slice, bucket), stream, commit_id, attempt))
		WITH gc_grace_seconds = 3600 AND compaction = {'class': 'UnifiedCompactionStrategy'} AND speculative_retry = '50ms'`,
	`CREATE TABLE IF NOT EXISTS intakes (store text, slice int, settled bigint, open bigint, PRIMARY KEY ((store, slice))) WITH speculative_retry = '50ms'`,
	`CREATE TABLE IF NOT EXISTS feed (
		store text, slice int, page bigint, position bigint, next bigint static, events bigint static,
		stream text, after bigint, upto bigint,
		PRIMARY KEY ((store, slice, page), position))
		WITH compaction = {'class': 'UnifiedCompactionStrategy'} AND speculative_retry = '50ms'`,
	`CREATE TABLE IF NOT EXISTS marks (store text, stream text, upto bigint, PRIMARY KEY ((store, stream))) WITH speculative_retry = '50ms'`,
	`CREATE TABLE IF NOT EXISTS snapshots (store text, stream text, fold int, version bigint, data blob, PRIMARY KEY ((store, stream), fold)) WITH speculative_retry = '50ms'`,
	`CREATE TABLE IF NOT EXISTS stores (store text PRIMARY KEY, epoch text)`,
}

// Schema returns the statements that Migrate runs, for operators who create the tables
// themselves.
func Schema() []string { return slices.Clone(tables) }

// Migrate makes the tables in the session's keyspace, which must exist. It can be repeated, also
// while a service runs.
func Migrate(ctx context.Context, session *client.Session) error {
	for _, cql := range tables {
		if err := session.Query(cql).WithContext(ctx).Profile(ProfileSchema).Exec(); err != nil {
			return fmt.Errorf("eventstore/cassandra: make the tables: %w", err)
		}
	}
	return nil
}

// epoch returns the store's epoch, and makes one if there is none.
func epoch(ctx context.Context, session *client.Session, name string) (string, error) {
	for {
		var e string
		err := session.Query("SELECT epoch FROM stores WHERE store = ?", name).WithContext(ctx).Profile(ProfileSettle).Scan(&e)
		if err == nil || !errors.Is(err, client.ErrNotFound) {
			return e, err
		}
		made := make([]byte, 8)
		if _, err := rand.Read(made); err != nil {
			return "", err
		}
		_, err = session.Query("INSERT INTO stores (store, epoch) VALUES (?, ?) IF NOT EXISTS", name, hex.EncodeToString(made)).WithContext(ctx).Profile(ProfileAppend).CAS()
		if err != nil && !errors.Is(err, client.ErrOutcomeUnknown) {
			return "", err
		}
	}
}

// failed converts a client's error into one of eventstore's errors.
func failed(what string, err error) error {
	kind := eventstore.ErrUnavailable
	switch {
	case errors.Is(err, client.ErrClosed), errors.Is(err, resilience.ErrClosed):
		kind = eventstore.ErrClosed
	case errors.Is(err, client.ErrDiskFull):
		kind = eventstore.ErrFull
	case errors.Is(err, client.ErrInvalid):
		kind = eventstore.ErrInvalid
	}
	return fmt.Errorf("%w: %s: %w", kind, what, err)
}
