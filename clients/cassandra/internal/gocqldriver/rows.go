package gocqldriver

import (
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/gocql/gocql"

	"github.com/backstay-go/backstay/clients/cassandra/internal/codec"
	"github.com/backstay-go/backstay/clients/cassandra/internal/driver"
)

// appliedColumn is the first column of the answer to a conditional write.
const appliedColumn = "[applied]"

// errNoApplied means that a batch that was run as conditional has no condition.
var errNoApplied = errors.New("the answer has no [applied]: no statement of the batch has an IF")

// cell takes a column's bytes from the driver. They belong to the page's memory.
type cell struct{ data []byte }

// UnmarshalCQL implements gocql.Unmarshaler.
func (c *cell) UnmarshalCQL(_ gocql.TypeInfo, data []byte) error {
	c.data = data
	return nil
}

// fewColumns is a number of columns that suffices for most results.
const fewColumns = 6

// rows is a page of a result. The driver provides the bytes of each column; this
// package decodes them.
type rows struct {
	iter  *gocql.Iter // nil if there is no result
	count int
	state []byte
	// warnings are copied, because closing iter drops them.
	warnings []string
	tracer   *tracer
	node     string
	// conditional means that a column that can't be read is left out of a row, so that
	// it is still known whether the write was applied.
	conditional bool
	// applied is the only row of a batch's answer, which the driver has already read;
	// nil if there is none.
	applied map[string]any
	err     error
	pos     int

	columns []gocql.ColumnInfo
	cells   []cell
	dest    []any // the cells, as many as the driver asks for
	few     [fewColumns]cell
	fewDest [fewColumns]any
}

func (r *rows) Columns() []driver.Column {
	if r.iter == nil {
		return nil
	}
	r.look()
	all := make([]driver.Column, len(r.columns))
	for i, c := range r.columns {
		all[i] = column(c)
	}
	return all
}

func (r *rows) Coordinator() string { return r.node }
func (r *rows) Rows() int           { return r.count }
func (r *rows) State() []byte       { return r.state }
func (r *rows) TraceID() []byte     { return r.tracer.traceID() }
func (r *rows) Warnings() []string  { return r.warnings }
func (r *rows) Err() error          { return r.err }

// look learns the columns, once. The driver would scan the elements of a tuple one by
// one, so that a null tuple could not be recognized. Therefore a tuple is presented to
// the driver as a blob.
func (r *rows) look() {
	if r.cells != nil {
		return
	}
	r.columns = r.iter.Columns()
	r.cells, r.dest = r.few[:], r.fewDest[:0]
	if len(r.columns) > fewColumns {
		r.cells = make([]cell, len(r.columns))
	}
	wants, copied := len(r.columns), false
	for i, c := range r.columns {
		r.dest = append(r.dest, &r.cells[i])
		tuple, is := c.TypeInfo.(gocql.TupleTypeInfo)
		if !is {
			continue
		}
		if !copied {
			r.columns, copied = slices.Clone(r.columns), true
		}
		wants += len(tuple.Elems) - 1
		r.iter.Columns()[i].TypeInfo = gocql.NewNativeType(tuple.Version(), gocql.TypeBlob, "")
	}
	for len(r.dest) < wants {
		r.dest = append(r.dest, nil)
	}
}

// step reads one row's bytes and passes them on. A value with its own conversion may
// panic.
func (r *rows) step(read func() error) (ok bool) {
	if r.err != nil || r.pos >= r.count {
		return false
	}
	defer func() {
		if p := recover(); p != nil {
			ok, r.err = false, clientFailure(fmt.Errorf("reading a row panicked: %s", panicText(p)))
		}
	}()
	if r.applied == nil {
		r.look()
		if !r.iter.Scan(r.dest...) {
			// The cells accept any bytes, so it is the page that can't be read.
			r.err = brokenPage(r.iter.Close())
			return false
		}
	}
	r.pos++
	if err := read(); err != nil {
		r.err = clientFailure(err)
		return false
	}
	return true
}

func (r *rows) Next(dest ...any) bool {
	return r.step(func() error {
		if r.applied != nil {
			return errors.New("rows of a conditional batch are read as maps")
		}
		if len(dest) != len(r.columns) {
			if len(dest) == len(r.dest) {
				return r.scanElements(dest)
			}
			return fmt.Errorf("the row has %d columns, and there are %d values to read them into", len(r.columns), len(dest))
		}
		for i, c := range r.columns {
			if err := codec.Decode(c.TypeInfo, r.cells[i].data, dest[i]); err != nil {
				return columnError(c, err)
			}
		}
		return nil
	})
}

// scanElements reads the elements of tuples one by one, as gocql does.
func (r *rows) scanElements(dest []any) error {
	for i, c := range r.columns {
		tuple, is := c.TypeInfo.(gocql.TupleTypeInfo)
		if !is {
			if err := codec.Decode(c.TypeInfo, r.cells[i].data, dest[0]); err != nil {
				return columnError(c, err)
			}
			dest = dest[1:]
			continue
		}
		if err := codec.DecodeElements(tuple, r.cells[i].data, dest[:len(tuple.Elems)]); err != nil {
			return columnError(c, err)
		}
		dest = dest[len(tuple.Elems):]
	}
	return nil
}

func (r *rows) NextMap(into map[string]any) bool {
	return r.step(func() error {
		if r.applied != nil {
			into[appliedColumn] = r.applied[appliedColumn]
			return nil
		}
		for i, c := range r.columns {
			if dest, given := into[c.Name]; given && isPointer(dest) {
				if err := codec.Decode(c.TypeInfo, r.cells[i].data, dest); err != nil {
					return columnError(c, err)
				}
				into[c.Name] = pointedTo(dest)
				continue
			}
			v, err := codec.Value(c.TypeInfo, r.cells[i].data)
			switch {
			case err == nil:
				into[c.Name] = v
			case !r.conditional || c.Name == appliedColumn:
				return columnError(c, err)
			}
		}
		return nil
	})
}

func isPointer(v any) bool { return v != nil && reflect.TypeOf(v).Kind() == reflect.Pointer }

// pointedTo returns what was read into one of the caller's pointers.
func pointedTo(v any) any { return reflect.ValueOf(v).Elem().Interface() }

func (r *rows) Row() (map[string]any, bool) {
	if r.err != nil || r.pos >= r.count {
		return nil, false
	}
	if r.applied != nil {
		r.pos++
		return r.applied, true
	}
	row := make(map[string]any, len(r.columns))
	return row, r.NextMap(row)
}

func columnError(c gocql.ColumnInfo, err error) error {
	return fmt.Errorf("column %q (%s): %w", c.Name, codec.Name(c.TypeInfo), err)
}

// brokenPage is the error of a page whose bytes do not contain the rows that it
// announces.
func brokenPage(err error) error {
	text := "the page ended early"
	if err != nil {
		text = err.Error()
	}
	return &driver.Failure{Cause: driver.Protocol, Code: -1, Message: "the answer can't be read: " + text, Err: err}
}

// justApplied and notApplied are the rows of a batch's answer that has only the
// outcome. They must not be changed.
var (
	justApplied = map[string]any{appliedColumn: true}
	notApplied  = map[string]any{appliedColumn: false}
)

// batchRows returns the answer of a conditional batch. The driver always reads the
// first row. It succeeds if that row has only the outcome. It fails on a longer row,
// but has not consumed it then.
func batchRows(r *rows, it *gocql.Iter, applied bool) error {
	columns := it.Columns()
	if len(columns) == 0 || columns[0].Name != appliedColumn {
		return errNoApplied
	}
	r.iter, r.count, r.warnings, r.conditional = it, it.NumRows(), it.Warnings(), true
	switch {
	case len(columns) > 1:
		return forgive(it)
	case applied:
		r.applied = justApplied
	default:
		r.applied = notApplied
	}
	return nil
}

// forgive removes the error of a scan into too few values from the driver's iterator.
// There is no other way to read the rows of a conditional batch, because its columns
// are not known in advance.
func forgive(it *gocql.Iter) error {
	f := reflect.ValueOf(it).Elem().FieldByName("err")
	if !f.IsValid() || f.Type() != reflect.TypeFor[error]() {
		return errors.New("the answer of a conditional batch can't be read with this version of the driver")
	}
	reflect.NewAt(f.Type(), f.Addr().UnsafePointer()).Elem().SetZero()
	return nil
}
