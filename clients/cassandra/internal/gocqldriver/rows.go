package gocqldriver

import (
	"errors"
	"fmt"
	"maps"

	"github.com/backstay-go/backstay/clients/cassandra/internal/driver"
	"github.com/gocql/gocql"
)

// appliedColumn is what a conditional write answers first.
const appliedColumn = "[applied]"

// errNoApplied: a batch that was run as conditional has no condition.
var errNoApplied = errors.New("the answer has no [applied]: no statement of the batch has an IF")

// rows is a page of one statement's result.
type rows struct {
	iter  *gocql.Iter // nil: no result
	count int
	state []byte
	// warnings are kept: closing iter drops them.
	warnings []string
	tracer   *tracer
	node     string
	err      error
	pos      int
}

func (r *rows) Columns() []driver.Column {
	if r.iter == nil {
		return nil
	}
	return columns(r.iter)
}

func columns(it *gocql.Iter) []driver.Column {
	infos := it.Columns()
	cols := make([]driver.Column, len(infos))
	for i, c := range infos {
		cols[i] = driver.Column{Keyspace: c.Keyspace, Table: c.Table, Name: c.Name}
		if c.TypeInfo != nil {
			cols[i].Type = fmt.Sprint(c.TypeInfo)
		}
	}
	return cols
}

func (r *rows) Coordinator() string { return r.node }
func (r *rows) Rows() int           { return r.count }
func (r *rows) State() []byte       { return r.state }
func (r *rows) TraceID() []byte     { return r.tracer.traceID() }

func (r *rows) Warnings() []string { return r.warnings }

func (r *rows) Next(dest ...any) bool {
	return r.step(func() bool { return r.iter.Scan(dest...) })
}

func (r *rows) NextMap(into map[string]any) bool {
	return r.step(func() bool { return r.iter.MapScan(into) })
}

func (r *rows) Row() (map[string]any, bool) {
	if r.err != nil || r.pos >= r.count {
		return nil, false
	}
	row := map[string]any{}
	return row, r.NextMap(row)
}

// step reads one row. A value that can't be unmarshalled may panic in the driver.
func (r *rows) step(scan func() bool) (ok bool) {
	if r.err != nil || r.pos >= r.count {
		return false
	}
	defer func() {
		if p := recover(); p != nil {
			ok, r.err = false, clientFailure(fmt.Errorf("the driver panicked reading a row: %s", panicText(p)))
		}
	}()
	r.pos++
	if scan() {
		return true
	}
	// Short of the last row, false is an error, which closing tells.
	if err := r.iter.Close(); err != nil {
		r.err = valueFailure(err)
	} else {
		r.err = clientFailure(errors.New("the page ended early"))
	}
	return false
}

func (r *rows) Err() error { return r.err }

// casRows is the result of a conditional batch. The driver has read its first row.
type casRows struct {
	iter   *gocql.Iter
	first  map[string]any
	tracer *tracer
	node   string
	pos    int
	err    error
}

func (r *casRows) Columns() []driver.Column { return columns(r.iter) }
func (r *casRows) Coordinator() string      { return r.node }
func (r *casRows) Rows() int                { return r.iter.NumRows() }
func (r *casRows) State() []byte            { return nil }
func (r *casRows) Warnings() []string       { return r.iter.Warnings() }
func (r *casRows) TraceID() []byte          { return r.tracer.traceID() }
func (r *casRows) Err() error               { return r.err }

// Next is not for conditional batches: their rows differ in what they hold.
func (r *casRows) Next(...any) bool {
	r.err = clientFailure(errors.New("rows of a conditional batch are read as maps"))
	return false
}

func (r *casRows) NextMap(into map[string]any) bool {
	if r.pos == 0 {
		row, ok := r.Row()
		maps.Copy(into, row)
		return ok
	}
	if r.err != nil || r.pos >= r.Rows() {
		return false
	}
	r.pos++
	if r.iter.MapScan(into) {
		return true
	}
	if err := r.iter.Close(); err != nil {
		r.err = valueFailure(err)
	}
	return false
}

func (r *casRows) Row() (map[string]any, bool) {
	if r.err != nil || r.pos >= r.Rows() {
		return nil, false
	}
	if r.pos == 0 {
		r.pos++
		return r.first, true
	}
	row := map[string]any{}
	return row, r.NextMap(row)
}
