package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	sqlitelib "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/backstay-go/backstay/licensesvc/eventstore"
)

// job is one write that waits for the writer. run executes it inside a transaction and returns
// its answer. settle finds out, after a fence, whether it was stored.
type job struct {
	run    func(ctx context.Context, w *writer) (eventstore.Appended, error)
	settle func(ctx context.Context, w *writer) (eventstore.Appended, error)
	answer chan answer // has room for one answer
}

type answer struct {
	appended eventstore.Appended
	err      error
}

func (j *job) tell(a eventstore.Appended, err error) { j.answer <- answer{a, err} }

// maxHeads bounds the number of streams whose versions the writer remembers, about 8 MB.
const maxHeads = 1 << 16

// writer owns the only connection that writes. Only its goroutine uses the connection. stop ends
// the goroutine and closes the connection.
type writer struct {
	conn     *connection
	maxBatch int
	jobs     chan *job
	quit     chan struct{}
	ended    chan struct{}
	once     sync.Once
	stopped  atomic.Bool
	closed   error // the connection's error on closing; valid once ended is closed

	// doubtful is true if the last commit failed and no fence has succeeded since.
	doubtful bool
	// heads are versions of streams that this connection wrote or read. They are valid until
	// another connection changes the file or a transaction is rolled back.
	heads       map[string]int64
	dataVersion int64
	// position is the last position that was assigned, or -1 if it must be read. It is valid as
	// long as heads are.
	position int64
	stmts    statements
}

// statements are prepared once, on the writer's connection.
type statements struct {
	begin, end, rollback, dataVersion                                          *statement
	commit, insertKey, dropKey, insert, version, position, tail, fence, saveAt *statement
	insertTag, tagged, commitAt                                                *statement
}

func startWriter(ctx context.Context, conn *connection, cfg Config) (*writer, error) {
	w := &writer{conn: conn, maxBatch: cfg.MaxBatch, jobs: make(chan *job, cfg.Queue), quit: make(chan struct{}), ended: make(chan struct{}), heads: map[string]int64{}, position: -1}
	for _, p := range []struct {
		to  **statement
		sql string
	}{
		{&w.stmts.begin, "BEGIN IMMEDIATE"},
		{&w.stmts.end, "COMMIT"},
		{&w.stmts.rollback, "ROLLBACK"},
		{&w.stmts.dataVersion, "PRAGMA data_version"},
		{&w.stmts.commit, "SELECT at, last, fingerprint FROM streams WHERE stream = ? AND key = ?"},
		{&w.stmts.insertKey, "INSERT INTO streams (stream, key, at, last, fingerprint) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"},
		{&w.stmts.insert, "INSERT INTO events (position, stream, version, slice, id, type, schema, commit_id, occurred, recorded, cause, correlation, trace, actor, data, checksum, tags) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"},
		{&w.stmts.dropKey, "DELETE FROM streams WHERE stream = ? AND key = ?"},
		{&w.stmts.version, "SELECT key FROM streams WHERE stream = ? AND key < '' ORDER BY key DESC LIMIT 1"},
		{&w.stmts.position, "SELECT max(coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0), coalesce((SELECT max(position) FROM events), 0))"},
		{&w.stmts.tail, "SELECT " + columns + " FROM streams s LEFT JOIN events e ON e.position = s.at WHERE s.stream = ? AND s.key > ? AND s.key <= ? ORDER BY s.key LIMIT ?"},
		{&w.stmts.insertTag, "INSERT INTO tags (tag, position) VALUES (?, ?)"},
		{&w.stmts.tagged, "SELECT " + columns + " FROM tags t LEFT JOIN events e ON e.position = t.position WHERE t.tag = ? AND t.position > ? AND (?3 = '' OR e.type IN (SELECT value FROM json_each(?3)) OR e.type IS NULL) ORDER BY t.position LIMIT ?4"},
		{&w.stmts.commitAt, "SELECT commit_id FROM events WHERE position = ?"},
		{&w.stmts.fence, "UPDATE meta SET fence = fence + 1"},
		{&w.stmts.saveAt, `INSERT INTO snapshots (stream, fold, version, data) VALUES (?, ?, ?, ?)
			ON CONFLICT (stream, fold) DO UPDATE SET version = excluded.version, data = excluded.data WHERE excluded.version > snapshots.version`},
	} {
		var err error
		if *p.to, err = conn.prepare(ctx, p.sql); err != nil {
			return nil, err
		}
	}
	go w.loop(ctx)
	return w, nil
}

func (w *writer) isStopped() bool { return w.stopped.Load() }

// refuse makes the writer refuse new jobs. Reads ask isStopped and are refused as well.
func (w *writer) refuse() { w.stopped.Store(true) }

// stop ends the loop after its current batch and closes the connection. Waiting jobs are refused.
func (w *writer) stop() error {
	w.once.Do(func() {
		w.refuse()
		close(w.quit)
	})
	<-w.ended
	return w.closed
}

// do queues a job and waits for its answer. The end of ctx ends the wait, not the job.
func (w *writer) do(ctx context.Context, j *job) (eventstore.Appended, error) {
	rejected := eventstore.Appended{Outcome: eventstore.Rejected}
	if err := ctx.Err(); err != nil {
		return rejected, fmt.Errorf("%w: not begun: %w", eventstore.ErrUnavailable, err)
	}
	if w.isStopped() {
		return rejected, eventstore.ErrClosed
	}
	select {
	case w.jobs <- j:
	default:
		return rejected, fmt.Errorf("%w: %d appends wait for the disk already", eventstore.ErrUnavailable, cap(w.jobs))
	}
	select {
	case a := <-j.answer:
		return a.appended, a.err
	case <-ctx.Done():
		return eventstore.Appended{}, fmt.Errorf("%w: the wait ended: %w", eventstore.ErrUnknown, ctx.Err())
	case <-w.ended:
		select { // The loop may have answered before it ended.
		case a := <-j.answer:
			return a.appended, a.err
		default:
			return rejected, eventstore.ErrClosed
		}
	}
}

func (w *writer) loop(ctx context.Context) {
	defer close(w.ended)
	for {
		select {
		case <-w.quit:
			w.drain()
			w.closed = w.finish(ctx)
			return
		case first := <-w.jobs:
			w.batch(ctx, w.collect(first))
		}
	}
}

// finish moves the whole log into the file and closes the connection. After that, the file is
// complete without its log.
func (w *writer) finish(ctx context.Context) error {
	// This process has no readers any more. A reader in another process may keep a part of the
	// log, which then stays next to the file.
	_, err := w.conn.row(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	return errors.Join(err, w.conn.close())
}

// drain refuses the waiting jobs, of which none was begun.
func (w *writer) drain() {
	for {
		select {
		case j := <-w.jobs:
			j.tell(eventstore.Appended{Outcome: eventstore.Rejected}, eventstore.ErrClosed)
		default:
			return
		}
	}
}

// collect takes the jobs that wait in addition to the first. It waits for no more of them, because
// the next batch gathers while this one is being synced. But if the processors are busy, it lets
// the goroutines that can run go first: some of them are about to append, and each commit that is
// saved leaves the processors to requests.
func (w *writer) collect(first *job) []*job {
	runtime.Gosched()
	jobs := append(make([]*job, 0, 16), first)
	for len(jobs) < w.maxBatch {
		select {
		case j := <-w.jobs:
			jobs = append(jobs, j)
		default:
			return jobs
		}
	}
	return jobs
}

// batch runs jobs in one durable commit.
func (w *writer) batch(ctx context.Context, jobs []*job) {
	if w.doubtful {
		if err := w.fence(ctx); err != nil {
			for _, j := range jobs {
				j.tell(eventstore.Appended{Outcome: eventstore.Rejected}, fmt.Errorf("%w: the disk has failed and not recovered: %w", eventstore.ErrUnavailable, err))
			}
			return
		}
	}
	answers := make([]answer, len(jobs))
	err := w.begin(ctx)
	for i := 0; err == nil && i < len(jobs); i++ {
		// A refused job has written nothing, so the others continue. An error from SQLite ends
		// the whole transaction.
		a, rerr := jobs[i].run(ctx, w)
		switch {
		case rerr != nil && (isStorage(rerr) || errors.Is(rerr, eventstore.ErrCorrupt)):
			err = rerr
		case rerr != nil:
			a = eventstore.Appended{Outcome: eventstore.Rejected}
		}
		answers[i] = answer{a, rerr}
	}
	if err != nil { // This is before COMMIT, so nothing is stored.
		w.rollback(ctx)
		w.retryAlone(ctx, jobs, err)
		return
	}
	if _, err := w.stmts.end.exec(ctx); err != nil {
		w.afterFailedCommit(ctx, jobs, err)
		return
	}
	for i, j := range jobs {
		j.tell(answers[i].appended, answers[i].err)
	}
}

// begin begins a transaction. It forgets the streams' versions if another connection, in another
// process or in a tool, changed the file.
func (w *writer) begin(ctx context.Context) error {
	if _, err := w.stmts.begin.exec(ctx); err != nil {
		return err
	}
	found := w.dataVersion
	err := w.stmts.dataVersion.query(ctx, func(row []driver.Value) error {
		found = row[0].(int64)
		return nil
	})
	if found != w.dataVersion {
		w.dataVersion = found
		w.forget()
	}
	return err
}

// retryAlone gives each job a separate transaction after a batch failed before its commit, so
// that a job that is too large does not make the others fail.
func (w *writer) retryAlone(ctx context.Context, jobs []*job, cause error) {
	if len(jobs) == 1 {
		jobs[0].tell(eventstore.Appended{Outcome: eventstore.Rejected}, storageError(cause))
		return
	}
	for _, j := range jobs {
		w.batch(ctx, []*job{j})
	}
}

// afterFailedCommit answers the jobs of a batch whose commit failed. SQLITE_FULL and SQLITE_BUSY
// have stored nothing. After any other error the frames may be in the log, and the outcome is
// unknown until a fence succeeds.
func (w *writer) afterFailedCommit(ctx context.Context, jobs []*job, cause error) {
	w.rollback(ctx)
	if code := codeOf(cause); code == sqlite3.SQLITE_FULL || code == sqlite3.SQLITE_BUSY {
		w.retryAlone(ctx, jobs, cause)
		return
	}
	w.doubtful = true
	if err := w.fence(ctx); err != nil {
		for _, j := range jobs {
			j.tell(eventstore.Appended{}, fmt.Errorf("%w: %w; and the disk has not recovered: %w", eventstore.ErrUnknown, cause, err))
		}
		return
	}
	for _, j := range jobs {
		appended, err := j.settle(ctx, w)
		if err != nil {
			j.tell(eventstore.Appended{}, fmt.Errorf("%w: %w; and could not be looked up: %w", eventstore.ErrUnknown, cause, err))
			continue
		}
		if appended.Outcome == eventstore.Applied {
			j.tell(appended, nil)
			continue
		}
		j.tell(eventstore.Appended{Outcome: eventstore.Rejected}, storageError(cause))
	}
}

// fence commits a separate change. After it, the frames of a failed commit are either overwritten
// or part of the database for good.
func (w *writer) fence(ctx context.Context) error {
	err := w.begin(ctx)
	if err == nil {
		_, err = w.stmts.fence.exec(ctx)
	}
	if err == nil {
		_, err = w.stmts.end.exec(ctx)
	}
	if err != nil {
		w.rollback(ctx)
		return err
	}
	w.doubtful = false
	return nil
}

// rollback ends the transaction if there is one, as SQLite may have ended it already. It forgets
// the versions that the transaction assigned.
func (w *writer) rollback(ctx context.Context) {
	w.forget()
	_, _ = w.stmts.rollback.exec(ctx)
}

// forget forgets what this connection knew of the file.
func (w *writer) forget() {
	clear(w.heads)
	w.position = -1
}

func codeOf(err error) int {
	var e *sqlitelib.Error
	if errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return 0
}

// isStorage reports whether an error comes from SQLite, and is not a decision of this package.
func isStorage(err error) bool {
	var e *sqlitelib.Error
	return errors.As(err, &e)
}

// storageError wraps an error after which nothing is stored.
func storageError(err error) error {
	if errors.Is(err, eventstore.ErrCorrupt) {
		return err
	}
	switch codeOf(err) {
	case sqlite3.SQLITE_FULL:
		return fmt.Errorf("%w (%w)", eventstore.ErrFull, err)
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("%w: %w", eventstore.ErrCorrupt, err)
	case sqlite3.SQLITE_TOOBIG:
		return fmt.Errorf("%w: %w", eventstore.ErrInvalid, err)
	}
	return fmt.Errorf("%w: %w", eventstore.ErrUnavailable, err)
}
