package driverv2test

import (
	"maps"

	gocql "github.com/apache/cassandra-gocql-driver/v2"

	"github.com/backstay-go/backstay/clients/cassandra/internal/driver"
)

// rows is a page of a result. first is the row of a conditional batch that the driver
// has already read.
type rows struct {
	iter  *gocql.Iter // nil if there is no result
	first map[string]any
	count int
	state []byte
	node  string
	err   error
	pos   int
}

func (r *rows) Columns() []driver.Column {
	if r.iter == nil {
		return nil
	}
	var columns []driver.Column
	for _, c := range r.iter.Columns() {
		columns = append(columns, driver.Column{Keyspace: c.Keyspace, Table: c.Table, Name: c.Name})
	}
	return columns
}

func (r *rows) Rows() int           { return r.count }
func (r *rows) State() []byte       { return r.state }
func (r *rows) Err() error          { return r.err }
func (r *rows) Coordinator() string { return r.node }
func (r *rows) Warnings() []string  { return nil }
func (r *rows) TraceID() []byte     { return nil }

func (r *rows) Next(dest ...any) bool {
	return r.step(func() bool { return r.iter.Scan(dest...) })
}

func (r *rows) NextMap(into map[string]any) bool {
	if r.pos == 0 && r.first != nil && r.err == nil {
		r.pos++
		maps.Copy(into, r.first)
		return true
	}
	return r.step(func() bool { return r.iter.MapScan(into) })
}

func (r *rows) Row() (map[string]any, bool) {
	row := map[string]any{}
	return row, r.NextMap(row)
}

func (r *rows) step(scan func() bool) bool {
	if r.err != nil || r.pos >= r.count {
		return false
	}
	r.pos++
	if scan() {
		return true
	}
	if err := r.iter.Close(); err != nil {
		r.err = &driver.Failure{Cause: driver.Client, Code: -1, Message: err.Error(), Err: err}
	}
	return false
}
