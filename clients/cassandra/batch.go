package cassandra

import (
	"context"
	"errors"
	"slices"

	"github.com/backstay-go/backstay/clients/cassandra/internal/driver"
	"github.com/backstay-go/backstay/resilience"
)

// BatchKind is the kind of a batch. The zero value is none.
type BatchKind uint8

// The kinds of batch.
const (
	// LoggedBatch is eventually done as a whole, or not at all.
	LoggedBatch = BatchKind(driver.Logged)
	// UnloggedBatch may be done in part.
	UnloggedBatch = BatchKind(driver.Unlogged)
	// CounterBatch updates counters.
	CounterBatch = BatchKind(driver.Counter)
)

// maxBatch is the protocol's bound on statements in a batch.
const maxBatch = 65535

// Batch is several writes in one request. Make it with Session.NewBatch. It is not safe
// for concurrent use, and need not be closed.
type Batch struct {
	session *Session
	ctx     context.Context
	kind    BatchKind
	profile string
	entries []driver.Statement

	consistency, serial Consistency
	timestamp           int64
	trace               bool
	info                Info
	// once is memory for the first run, as in Query. few is space for entries that
	// usually suffices.
	once combined
	ran  bool
	few  [4]driver.Statement
}

// combined is an execution together with the summary of its statements, in one
// allocation.
type combined struct {
	execution
	sum statement
}

// NewBatch returns an empty batch.
func (s *Session) NewBatch(kind BatchKind) *Batch { return &Batch{session: s, kind: kind} }

// Query adds a statement with its values.
func (b *Batch) Query(cql string, args ...any) *Batch {
	if b.entries == nil {
		b.entries = b.few[:0]
	}
	b.entries = append(b.entries, driver.Statement{CQL: cql, Args: args})
	return b
}

// QueryStruct adds a statement with its values from a struct, as Query.BindStruct.
func (b *Batch) QueryStruct(cql string, from any) *Batch {
	b.Query(cql)
	b.entries[len(b.entries)-1].Values = byName(from)
	return b
}

// WithContext sets the context. It changes b and returns it.
func (b *Batch) WithContext(ctx context.Context) *Batch { b.ctx = ctx; return b }

// Profile names the profile under which the batch runs.
func (b *Batch) Profile(name string) *Batch { b.profile = name; return b }

// Consistency overrides the profile's level.
func (b *Batch) Consistency(c Consistency) *Batch { b.consistency = c; return b }

// SerialConsistency overrides the profile's serial level.
func (b *Batch) SerialConsistency(c Consistency) *Batch { b.serial = c; return b }

// WithTimestamp sets the timestamp of all writes in microseconds since 1970.
func (b *Batch) WithTimestamp(micros int64) *Batch { b.timestamp = micros; return b }

// Trace asks the server to trace the request. Info has the trace id.
func (b *Batch) Trace() *Batch { b.trace = true; return b }

// Size is the number of statements.
func (b *Batch) Size() int { return len(b.entries) }

// Info describes how the last run went.
func (b *Batch) Info() Info { return b.info }

// Exec runs the batch. Use CAS for a conditional batch.
func (b *Batch) Exec() error {
	x, err := b.execution()
	if err == nil && x.st.conditional {
		err = x.wrong("the batch is conditional; run it with CAS, which tells whether it was applied")
	}
	if err != nil {
		return err
	}
	_, b.info, err = x.run(b.context())
	return err
}

// CAS runs a batch that has at least one condition. Either all of it is applied, or
// nothing. If it is known whether it was applied, the error is nil. An unknown outcome
// has both an Outcome and an error.
func (b *Batch) CAS() (CASResult, error) {
	x, err := b.execution()
	if err == nil && !x.st.conditional {
		err = x.wrong("no statement of the batch has an IF; run it with Exec")
	}
	if err != nil {
		return CASResult{}, err
	}
	res, err := x.cas(b.context())
	b.info = res.Info
	return res, err
}

func (b *Batch) context() context.Context {
	if b.ctx != nil {
		return b.ctx
	}
	return b.session.ctx
}

// execution prepares what the guard runs.
func (b *Batch) execution() (*execution, error) {
	if b.session.isClosed() {
		return nil, errClosed
	}
	p, err := b.session.profile(b.profile)
	if err != nil {
		return nil, err
	}
	one := &b.once
	if b.ran {
		one = new(combined)
		// An attempt of the previous run may still read them.
		b.entries = slices.Clone(b.entries)
	}
	b.ran = true
	x := &one.execution
	x.session, x.profile, x.st = b.session, p, &one.sum
	b.sum(x, &one.sum)
	x.request = driver.Request{
		Statements: b.entries, Batch: driver.BatchKind(b.kind), Conditional: x.st.conditional,
		Consistency: uint16(or(b.consistency, p.Consistency)), Timestamp: b.timestamp, Trace: b.trace,
	}
	if x.st.conditional {
		x.request.Serial = uint16(or(b.serial, p.SerialConsistency))
	}
	switch {
	case b.kind < LoggedBatch || b.kind > CounterBatch:
		return x, x.wrong("the kind of batch is unknown; use LoggedBatch, UnloggedBatch or CounterBatch")
	case len(b.entries) == 0:
		return x, x.wrong("the batch is empty; add a Query to it")
	case len(b.entries) > maxBatch:
		return x, x.wrong("the batch has more than 65535 statements")
	}
	return x, x.mayRun()
}

// sum summarizes the batch's statements.
func (b *Batch) sum(x *execution, sum *statement) {
	sum.write = true
	for i := range b.entries {
		e := &b.entries[i]
		st := b.session.known.get(e.CQL)
		e.CQL, e.Check = st.text, x.mayRepeat(st)
		sum.literals = append(sum.literals, st.literals...)
		if i == 0 {
			sum.shown = st.shown
		}
		sum.conditional = sum.conditional || st.conditional
		sum.unrepeatable = or(sum.unrepeatable, st.unrepeatable)
	}
	if b.kind == CounterBatch {
		sum.unrepeatable = counts
	}
}

// cas runs a conditional request and reads its outcome.
func (x *execution) cas(ctx context.Context) (CASResult, error) {
	page, info, err := x.run(ctx)
	if err == nil {
		res, err := casOf(page)
		res.Info = info
		if err != nil {
			return res, x.noOutcome(err)
		}
		return res, nil
	}
	res := CASResult{Info: info}
	if errors.Is(err, ErrOutcomeUnknown) {
		res.Outcome = Unknown
	}
	return res, err
}

var _ resilience.Judged = (*Error)(nil)
