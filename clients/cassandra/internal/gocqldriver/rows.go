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

// appliedColumn is what a conditional write answers first.
const appliedColumn = "[applied]"

// errNoApplied: a batch that was run as conditional has no condition.
var errNoApplied = errors.New("the answer has no [applied]: no statement of the batch has an IF")

// cell takes a column's bytes from the driver. They are the page's own memory.
type cell struct{ data []byte }

// UnmarshalCQL implements gocql.Unmarshaler.
func (c *cell) UnmarshalCQL(_ gocql.TypeInfo, data []byte) error {
	c.data = data
	return nil
}

// fewColumns is how many columns a result has as a rule.
const fewColumns = 6

// rows is a page of a result. The driver gives the bytes of each column; what they mean
// is found out here.
type rows struct {
	iter  *gocql.Iter // nil: no result
	count int
	state []byte
	// warnings are kept: closing iter drops them.
	warnings []string
	tracer   *tracer
	node     string
	// conditional: a column that can't be read is left out of a row, so that whether the
	// write was applied is known all the same.
	conditional bool
	// applied is the only row of a batch's answer, which the driver has read; nil: none.
	applied map[string]any
	err     error
	pos     int

	columns []gocql.ColumnInfo
	cells   []cell
	dest    []any // the cells, as many as the driver wants
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

// look learns the columns, once. The driver scans the elements of a tuple one by one,
// which loses whether it is null: a tuple is shown to it as a blob.
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

// step reads one row's bytes and hands over. A value that reads itself may panic.
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
			// The cells take any bytes: it is the page that can't be read.
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

// pointedTo is what was read into a pointer of the caller's.
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

// brokenPage is the error of a page whose bytes do not hold the rows that it has.
func brokenPage(err error) error {
	text := "the page ended early"
	if err != nil {
		text = err.Error()
	}
	return &driver.Failure{Cause: driver.Protocol, Code: -1, Message: "the answer can't be read: " + text, Err: err}
}

// justApplied and notApplied are the rows of a batch's answer that says no more. Nobody
// changes them.
var (
	justApplied = map[string]any{appliedColumn: true}
	notApplied  = map[string]any{appliedColumn: false}
)

// batchRows is the answer of a conditional batch. The driver insists on reading its first
// row: it has read one that says no more than whether the batch was applied, and has
// failed over a longer one, which it then has not begun.
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

// forgive takes the error of a scan into too few values from the driver's iterator. There
// is no other way to the rows of a conditional batch, whose columns nobody knows before.
func forgive(it *gocql.Iter) error {
	f := reflect.ValueOf(it).Elem().FieldByName("err")
	if !f.IsValid() || f.Type() != reflect.TypeFor[error]() {
		return errors.New("the answer of a conditional batch can't be read with this version of the driver")
	}
	reflect.NewAt(f.Type(), f.Addr().UnsafePointer()).Elem().SetZero()
	return nil
}
