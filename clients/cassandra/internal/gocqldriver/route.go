package gocqldriver

import (
	"encoding/binary"

	"github.com/gocql/gocql"

	"github.com/backstay-go/backstay/clients/cassandra/internal/codec"
	"github.com/backstay-go/backstay/clients/cassandra/internal/driver"
)

// route is what a statement's preparation reports: the names and types of its values,
// and which of them form the partition key.
type route struct {
	params   []driver.Column
	names    []string
	places   []int
	types    []gocql.TypeInfo // of the key
	keyspace string
	// spread is the statement with a marker for each element of its tuples, "" if it
	// has no tuples. widths is how many markers each value then has. It is needed
	// because the driver can't bind a tuple.
	spread string
	widths []int
}

// key returns the routing key for some values; nil if there is none.
func (r *route) key(values []any) []byte {
	if r == nil || len(r.places) == 0 {
		return nil
	}
	var key []byte
	for i, place := range r.places {
		if place >= len(values) {
			return nil
		}
		part, err := codec.Encode(r.types[i], values[place])
		if err != nil {
			return nil // the request itself will report it
		}
		if len(r.places) == 1 {
			return part
		}
		key = append(binary.BigEndian.AppendUint16(key, uint16(len(part))), part...)
		key = append(key, 0)
	}
	return key
}

// routeOf reads the preparation of a statement.
func routeOf(cql string, info *gocql.QueryInfo) *route {
	r := &route{names: make([]string, len(info.Args)), params: make([]driver.Column, len(info.Args))}
	for i, c := range info.Args {
		r.names[i], r.params[i] = c.Name, column(c)
	}
	for _, place := range info.PKeyColumns {
		if place >= len(info.Args) {
			r.places, r.types = nil, nil
			break
		}
		r.places = append(r.places, place)
		r.types = append(r.types, info.Args[place].TypeInfo)
		r.keyspace = info.Args[place].Keyspace
	}
	r.spreads(cql, info)
	return r
}

// values are a statement's values, checked against its preparation.
func (r *route) values(st *driver.Statement) ([]any, error) {
	if st.Check != nil {
		if err := st.Check(r.params); err != nil {
			return nil, err
		}
	}
	if st.Values == nil {
		return st.Args, nil
	}
	return st.Values(r.names)
}

func column(c gocql.ColumnInfo) driver.Column {
	return driver.Column{Keyspace: c.Keyspace, Table: c.Table, Name: c.Name, Type: codec.Name(c.TypeInfo)}
}
