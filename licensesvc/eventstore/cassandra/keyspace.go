package cassandra

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	client "github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/licensesvc/eventstore/schema"
)

// record is the table of the steps that a keyspace has. Its only partition also holds the lock,
// so that a step is recorded only by the instance that holds it.
const record = `CREATE TABLE IF NOT EXISTS schema_steps (
	id text, owner text static, fence bigint static, beat bigint static,
	number int, name text, done int, complete boolean, breaks boolean, at bigint,
	PRIMARY KEY (id, number))`

// recordID is the key of the record's partition.
const recordID = "schema"

// lease is how long an instance that holds the lock may do nothing that others see, before
// another takes it over. It is more than a statement may take.
const lease = 90 * time.Second

// SchemaKeyspace is the schema of the keyspace of a session, for schema.Schema. It is safe for
// concurrent use.
type SchemaKeyspace struct {
	session *client.Session
	lease   time.Duration
	poll    time.Duration
	// locked is the number of locks that are held. While there is one, the record is read with all
	// data centres; otherwise the local one is enough, so that a store can be looked at and opened
	// while another data centre is down.
	locked atomic.Int32
}

var _ schema.Database = (*SchemaKeyspace)(nil)

// SchemaOf returns the schema of the keyspace of a session that has the profiles that Profiles
// returns. The session stays the caller's.
func SchemaOf(session *client.Session) *SchemaKeyspace {
	return &SchemaKeyspace{session: session, lease: lease, poll: time.Second}
}

// serial returns a statement on the record. It is linearizable across all data centres, because
// a keyspace has one schema.
func (k *SchemaKeyspace) serial(ctx context.Context, profile, cql string, args ...any) *client.Query {
	q := k.session.Query(cql, args...).WithContext(ctx).Profile(profile)
	if profile == ProfileSettle {
		return q.Consistency(client.Serial)
	}
	return q.Consistency(client.Quorum).SerialConsistency(client.Serial)
}

// Columns implements schema.Database.
func (k *SchemaKeyspace) Columns(ctx context.Context) (map[string]map[string]string, error) {
	it := k.session.Query("SELECT table_name, column_name, type, kind FROM system_schema.columns WHERE keyspace_name = ?", k.session.Keyspace()).
		WithContext(ctx).Profile(ProfileShow).Iter()
	all := map[string]map[string]string{}
	for {
		var table, column, kind, of string
		if !it.Scan(&table, &column, &kind, &of) {
			return all, it.Close()
		}
		if all[table] == nil {
			all[table] = map[string]string{}
		}
		if of == "static" {
			kind += " static"
		}
		all[table][column] = kind
	}
}

// Progress implements schema.Database.
func (k *SchemaKeyspace) Progress(ctx context.Context) ([]schema.Progress, error) {
	columns, err := k.Columns(ctx)
	if err != nil || columns["schema_steps"] == nil {
		return nil, err
	}
	const cql = "SELECT number, name, done, complete, breaks FROM schema_steps WHERE id = ?"
	q := k.session.Query(cql, recordID).WithContext(ctx).Profile(ProfileRead)
	if k.locked.Load() > 0 {
		q = k.serial(ctx, ProfileSettle, cql, recordID)
	}
	it := q.Iter()
	var all []schema.Progress
	for {
		var number, done *int
		var name *string
		var complete, breaks *bool
		if !it.Scan(&number, &name, &done, &complete, &breaks) {
			return all, it.Close()
		}
		if number == nil { // The partition holds only the lock so far.
			continue
		}
		all = append(all, schema.Progress{Number: *number, Name: *name, Done: *done, Complete: *complete, Breaks: *breaks})
	}
}

// held is the lock as it is stored.
type held struct {
	owner       *string
	fence, beat *int64
}

func (k *SchemaKeyspace) held(ctx context.Context) (h held, err error) {
	err = k.serial(ctx, ProfileSettle, "SELECT owner, fence, beat FROM schema_steps WHERE id = ? LIMIT 1", recordID).Scan(&h.owner, &h.fence, &h.beat)
	if errors.Is(err, client.ErrNotFound) {
		err = nil
	}
	return h, err
}

func same(a, b *int64) bool { return a == nil && b == nil || a != nil && b != nil && *a == *b }

// Lock implements schema.Database. It waits for an instance that holds the lock. If that does
// nothing for the lease, as this process's clock counts it, the lock is taken over: the fence is
// raised, so that the instance before can record nothing any more. Every statement can be
// repeated, so one that it still runs does no harm.
func (k *SchemaKeyspace) Lock(ctx context.Context) (schema.Lock, error) {
	columns, err := k.Columns(ctx)
	if err != nil {
		return nil, err
	}
	if columns["schema_steps"] == nil {
		if err := k.change(ctx, record); err != nil {
			return nil, err
		}
	}
	host, _ := os.Hostname() // It only says to people where the lock is held.
	me := host + "/" + rand.Text()
	var last held
	var since time.Time
	tick := time.NewTicker(k.poll)
	defer tick.Stop()
	for {
		now, err := k.held(ctx)
		if err != nil {
			return nil, err
		}
		if since.IsZero() || !same(now.fence, last.fence) || !same(now.beat, last.beat) {
			last, since = now, time.Now()
		}
		if now.owner == nil || time.Since(since) > k.lease {
			lock, err := k.acquire(ctx, me, now)
			if lock != nil || err != nil {
				return lock, err
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			owner := ""
			if now.owner != nil {
				owner = *now.owner
			}
			return nil, fmt.Errorf("%w: %s changes the schema; wait until it is done, or for %s after it was lost", ctx.Err(), owner, k.lease)
		}
	}
}

// acquire takes the lock if it still is as it was read. It returns nil if it is not.
func (k *SchemaKeyspace) acquire(ctx context.Context, me string, from held) (schema.Lock, error) {
	fence := int64(1)
	if from.fence != nil {
		fence = *from.fence + 1
	}
	res, err := k.serial(ctx, ProfileAppend, "UPDATE schema_steps SET owner = ?, fence = ?, beat = 0 WHERE id = ? IF owner = ? AND fence = ? AND beat = ?",
		me, fence, recordID, from.owner, from.fence, from.beat).CAS()
	switch {
	case res.Outcome == client.Applied:
		k.locked.Add(1)
		return &keyspaceLock{keyspace: k, owner: me, fence: fence}, nil
	case res.Outcome == client.Unknown, err == nil:
		return nil, nil // The next read shows who has it. If it is this call, its lease ends.
	}
	return nil, err
}

// change runs a statement that changes the schema, and waits until all nodes have it.
func (k *SchemaKeyspace) change(ctx context.Context, cql string) error {
	if err := k.session.Query(cql).WithContext(ctx).Profile(ProfileSchema).Exec(); err != nil {
		return err
	}
	return k.session.AwaitSchemaAgreement(ctx)
}

// keyspaceLock is the right to change a keyspace's schema.
type keyspaceLock struct {
	keyspace *SchemaKeyspace
	owner    string
	fence    int64
	beat     int64
}

// Run implements schema.Lock.
func (l *keyspaceLock) Run(ctx context.Context, statement string) error {
	// Nodes that do not agree on the schema yet could take two changes in different orders.
	if err := l.keyspace.session.AwaitSchemaAgreement(ctx); err != nil {
		return err
	}
	if err := l.conditional(ctx, nil); err != nil {
		return err
	}
	return l.keyspace.change(ctx, statement)
}

// Record implements schema.Lock.
func (l *keyspaceLock) Record(ctx context.Context, p schema.Progress) error {
	return l.conditional(ctx, &p)
}

// conditional shows that the lock is held, and records progress if there is some. It is repeated
// until there is an answer: the statement is the same each time.
func (l *keyspaceLock) conditional(ctx context.Context, p *schema.Progress) error {
	l.beat++
	for {
		b := l.keyspace.session.NewBatch(client.LoggedBatch).WithContext(ctx).Profile(ProfileAppend).Consistency(client.Quorum).SerialConsistency(client.Serial)
		b.Query("UPDATE schema_steps SET beat = ? WHERE id = ? IF owner = ? AND fence = ?", l.beat, recordID, l.owner, l.fence)
		if p != nil {
			b.Query("INSERT INTO schema_steps (id, number, name, done, complete, breaks, at) VALUES (?, ?, ?, ?, ?, ?, ?)",
				recordID, p.Number, p.Name, p.Done, p.Complete, p.Breaks, time.Now().UnixNano())
		}
		res, err := b.CAS()
		switch {
		case res.Outcome == client.Applied:
			return nil
		case res.Outcome == client.NotApplied:
			return schema.ErrLockLost
		case res.Outcome != client.Unknown || ctx.Err() != nil:
			return err
		}
		pause(ctx)
	}
}

// Release implements schema.Lock. If it fails, the lease ends.
func (l *keyspaceLock) Release(ctx context.Context) error {
	l.keyspace.locked.Add(-1)
	res, err := l.keyspace.serial(ctx, ProfileAppend, "UPDATE schema_steps SET owner = null WHERE id = ? IF owner = ? AND fence = ?", recordID, l.owner, l.fence).CAS()
	if res.Outcome == client.Unknown {
		return nil
	}
	return err
}
