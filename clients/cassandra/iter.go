package cassandra

import (
	"iter"

	"github.com/backstay-go/backstay/clients/cassandra/internal/driver"
)

// Column describes a column of a result.
type Column struct {
	// Keyspace and Table that the column is of.
	Keyspace, Table string
	// Name of the column, or what the query calls it.
	Name string
	// Type as CQL writes it, for example map<text, int>.
	Type string
}

// Iter reads a query's rows. Each page is a separate guarded request, sent when
// its first row is read. An Iter is not safe for concurrent use. Close returns
// the error; an Iter that is not closed loses nothing else.
type Iter struct {
	spec
	running *execution
	page    driver.Page
	info    Info
	err     error
}

// Scan reads the next row into dest, one pointer per column; false at the end and on
// an error.
func (it *Iter) Scan(dest ...any) bool {
	return it.advance(func(p driver.Page) bool { return p.Next(dest...) })
}

// MapScan reads the next row into the map, by column; false at the end and on an
// error. Null is nil. Values in the map that are pointers are scanned into.
func (it *Iter) MapScan(into map[string]any) bool {
	return it.advance(func(p driver.Page) bool { return p.NextMap(into) })
}

// advance reads a row, from the next page if need be.
func (it *Iter) advance(read func(driver.Page) bool) bool {
	for it.err == nil && it.page != nil {
		if read(it.page) {
			return true
		}
		if err := it.page.Err(); err != nil {
			it.err = it.running.unreadable(err)
			return false
		}
		if it.err != nil {
			return false
		}
		state := it.page.State()
		if len(state) == 0 || it.onePage {
			return false
		}
		it.fetch(new(single), state)
	}
	return false
}

// Columns describes the result.
func (it *Iter) Columns() []Column {
	if it.page == nil {
		return nil
	}
	columns := it.page.Columns()
	all := make([]Column, len(columns))
	for i, c := range columns {
		all[i] = Column(c)
	}
	return all
}

// NumRows is the number of rows on the current page.
func (it *Iter) NumRows() int {
	if it.page == nil {
		return 0
	}
	return it.page.Rows()
}

// PageState continues after the current page; empty on the last one.
func (it *Iter) PageState() []byte {
	if it.page == nil {
		return nil
	}
	return it.page.State()
}

// Info describes how the current page was obtained.
func (it *Iter) Info() Info { return it.info }

// Warnings are the server's, of the current page.
func (it *Iter) Warnings() []string { return it.info.Warnings }

// SliceMap reads all rows that are left, by column.
func (it *Iter) SliceMap() ([]map[string]any, error) {
	var rows []map[string]any
	for {
		row := map[string]any{}
		if !it.MapScan(row) {
			return rows, it.Close()
		}
		rows = append(rows, row)
	}
}

// Close returns the first error.
func (it *Iter) Close() error { return it.err }

// Row is one row of a result, valid until the next one is asked for.
type Row struct{ values map[string]any }

// Get returns the value of a column, nil if it is null or not there. Package cqltype has
// the Go types for those of CQL that the standard library has none for.
func (r Row) Get(column string) any { return r.values[column] }

// Map returns the row by column.
func (r Row) Map() map[string]any { return r.values }

// Rows runs the query and yields its rows. An error comes last, with an empty row.
func (q *Query) Rows() iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		it := q.Iter()
		for {
			values := map[string]any{}
			if !it.MapScan(values) {
				break
			}
			if !yield(Row{values}, nil) {
				return
			}
		}
		if err := it.Close(); err != nil {
			yield(Row{}, err)
		}
	}
}
