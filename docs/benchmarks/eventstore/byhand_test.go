package eventstore

import (
	"context"
	"database/sql"
	"errors"
	"hash/fnv"
	"time"

	_ "modernc.org/sqlite"
)

// byHand is a group commit as one writes it on a good day: a goroutine takes what waits, and
// commits it together.
type byHand struct {
	db      *sql.DB
	conn    *sql.Conn
	event   *sql.Stmt
	key     *sql.Stmt
	jobs    chan work
	stopped chan struct{}
}

type work struct {
	stream, commit string
	expected       int64
	data           []byte
	done           chan error
}

const tables = `
CREATE TABLE events (
	position INTEGER PRIMARY KEY AUTOINCREMENT,
	stream TEXT NOT NULL, version INTEGER NOT NULL, slice INTEGER NOT NULL, id TEXT NOT NULL, type TEXT NOT NULL, schema INTEGER NOT NULL,
	commit_id TEXT NOT NULL, occurred INTEGER NOT NULL, recorded INTEGER NOT NULL, cause TEXT NOT NULL, correlation TEXT NOT NULL,
	trace TEXT NOT NULL, actor TEXT NOT NULL, data BLOB NOT NULL
);
CREATE INDEX feed ON events (slice, position);
CREATE TABLE streams (
	stream TEXT NOT NULL, key BLOB NOT NULL, at INTEGER NOT NULL, last INTEGER NOT NULL, fingerprint TEXT NOT NULL,
	PRIMARY KEY (stream, key)
) WITHOUT ROWID;`

func openByHand(ctx context.Context, file string) (*byHand, error) {
	b := &byHand{jobs: make(chan work, 4096), stopped: make(chan struct{})}
	var err error
	if b.db, err = sql.Open("sqlite", "file:"+file+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)"); err != nil {
		return nil, err
	}
	ctx = context.WithoutCancel(ctx)
	if b.conn, err = b.db.Conn(ctx); err != nil {
		return nil, err
	}
	if _, err := b.conn.ExecContext(ctx, tables); err != nil {
		return nil, err
	}
	if b.event, err = b.conn.PrepareContext(ctx, "INSERT INTO events (stream, version, slice, id, type, schema, commit_id, occurred, recorded, cause, correlation, trace, actor, data) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)"); err != nil {
		return nil, err
	}
	if b.key, err = b.conn.PrepareContext(ctx, "INSERT INTO streams (stream, key, at, last, fingerprint) VALUES (?, ?, ?, ?, '')"); err != nil {
		return nil, err
	}
	go b.loop(ctx)
	return b, nil
}

func (b *byHand) loop(ctx context.Context) {
	defer close(b.stopped)
	for first := range b.jobs {
		batch := []work{first}
	collect:
		for len(batch) < 512 {
			select {
			case w, ok := <-b.jobs:
				if !ok {
					break collect
				}
				batch = append(batch, w)
			default:
				break collect
			}
		}
		err := b.write(ctx, batch)
		for _, w := range batch {
			w.done <- err
		}
	}
}

func (b *byHand) write(ctx context.Context, batch []work) error {
	if _, err := b.conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	for _, w := range batch {
		h := fnv.New32a()
		h.Write([]byte(w.stream))
		now := time.Now().UnixNano()
		added, err := b.event.ExecContext(ctx, w.stream, w.expected+1, h.Sum32()%16, w.commit+".0", "license.granted", 1, w.commit, now, now, "request", "", "", "", w.data)
		if err != nil {
			return errors.Join(err, b.rollback(ctx))
		}
		position, err := added.LastInsertId()
		if err == nil {
			_, err = b.key.ExecContext(ctx, w.stream, w.expected+1, position, w.expected+1)
		}
		if err == nil {
			_, err = b.key.ExecContext(ctx, w.stream, w.commit, w.expected+1, w.expected+1)
		}
		if err != nil {
			return errors.Join(err, b.rollback(ctx))
		}
	}
	_, err := b.conn.ExecContext(ctx, "COMMIT")
	return err
}

func (b *byHand) rollback(ctx context.Context) error {
	_, err := b.conn.ExecContext(ctx, "ROLLBACK")
	return err
}

func (b *byHand) append(ctx context.Context, stream, commit string, expected int64, data []byte) error {
	w := work{stream, commit, expected, data, make(chan error, 1)}
	select {
	case b.jobs <- w:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *byHand) close() error {
	close(b.jobs)
	<-b.stopped
	return errors.Join(b.conn.Close(), b.db.Close())
}
