package cassandra

import (
	"iter"

	"github.com/backstay-go/backstay/clients/cassandra/internal/driver"
)

// Column describes a column of a result.
type Column struct {
	// Keyspace and Table are those of the column.
	Keyspace, Table string
	// Name is the column's name, or its alias in the query.
	Name string
	// Type is the type as CQL writes it, for example map<text, int>.
	Type string
}

// Iter reads a query's rows. Each page is a separate guarded request, which is sent
// when its first row is read. An Iter is not safe for concurrent use. Close returns the
// first error. An Iter that is not closed leaks nothing.
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

// advance reads a row, from the next page if necessary.
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

// PageState is the token that continues after the current page; empty on the last one.
func (it *Iter) PageState() []byte {
	if it.page == nil {
		return nil
	}
	return it.page.State()
}

// Info describes how the current page was obtained.
func (it *Iter) Info() Info { return it.info }

// Warnings are the server's warnings about the current page.
func (it *Iter) Warnings() []string { return it.info.Warnings }

// SliceMap reads all remaining rows, by column.
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

// Row is one row of a result. It is valid until the next row is read.
type Row struct{ values map[string]any }

// Get returns the value of a column; nil if it is null or not in the row. Package
// cqltype has Go types for the CQL types that the standard library lacks.
func (r Row) Get(column string) any { return r.values[column] }

// Map returns the row by column.
func (r Row) Map() map[string]any { return r.values }

// Rows runs the query and yields its rows. If there is an error, it is the last
// element, with an empty row.
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
