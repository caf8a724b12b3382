package gocqldriver

import (
	"encoding/binary"

	"github.com/gocql/gocql"
)

// route is where a statement's partition key is among its values, and what the
// values are called.
type route struct {
	places   []int
	types    []gocql.TypeInfo
	keyspace string
	names    []string
}

// key is the routing key of some values, nil if there is none.
func (r *route) key(values []any) []byte {
	if r == nil || len(r.places) == 0 {
		return nil
	}
	var key []byte
	for i, place := range r.places {
		if place >= len(values) {
			return nil
		}
		part, err := gocql.Marshal(r.types[i], values[place])
		if err != nil {
			return nil // the request itself will say so
		}
		if len(r.places) == 1 {
			return part
		}
		key = append(binary.BigEndian.AppendUint16(key, uint16(len(part))), part...)
		key = append(key, 0)
	}
	return key
}

// routes remembers the routes of statements. Safe for concurrent use.
type routes struct{ known copyOnWrite[string, *route] }

// learn takes a statement's route from how it was prepared.
func (rs *routes) learn(cql string, info *gocql.QueryInfo) {
	r := &route{names: namesOf(info)}
	for _, place := range info.PKeyColumns {
		if place >= len(info.Args) {
			r.places, r.types = nil, nil
			break
		}
		r.places = append(r.places, place)
		r.types = append(r.types, info.Args[place].TypeInfo)
		r.keyspace = info.Args[place].Keyspace
	}
	rs.known.put(cql, r)
}

func namesOf(info *gocql.QueryInfo) []string {
	names := make([]string, len(info.Args))
	for i, c := range info.Args {
		names[i] = c.Name
	}
	return names
}
