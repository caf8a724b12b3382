package gocqldriver

import (
	"errors"
	"fmt"

	"github.com/gocql/gocql"

	"github.com/backstay-go/backstay/clients/cassandra/cqltype"
	"github.com/backstay-go/backstay/clients/cassandra/internal/codec"
	"github.com/backstay-go/backstay/clients/cassandra/internal/driver"
)

// bindError is an error of this package that passes through the driver.
type bindError struct{ error }

// Unwrap returns the error.
func (e bindError) Unwrap() error { return e.error }

// errAgain means that, according to its preparation, the statement must be sent in
// another way.
var errAgain error = bindError{errors.New("the statement is sent once more in another form")}

// bound is a value that is passed to the driver, which calls it for its bytes.
type bound struct {
	value any
	param driver.Column
}

// MarshalCQL implements gocql.Marshaler.
func (b *bound) MarshalCQL(t gocql.TypeInfo) ([]byte, error) {
	data, err := codec.Encode(t, b.value)
	if err != nil {
		if b.param.Type == "" {
			b.param.Type = codec.Name(t)
		}
		return nil, bindError{valueError(b.param, err)}
	}
	return data, nil
}

func valueError(c driver.Column, err error) error {
	if c.Name == "" {
		return fmt.Errorf("a value of the type %s: %w", c.Type, err)
	}
	return fmt.Errorf("the value for %q (%s): %w", c.Name, c.Type, err)
}

// fewValues is a number of values that suffices for most statements.
const fewValues = 6

// binding is the memory for a statement's values.
type binding struct {
	few    [fewValues]bound
	values [fewValues]any
}

// wrap converts the values for the driver. params may be shorter.
func (b *binding) wrap(values []any, params []driver.Column) []any {
	all, out := b.few[:0], b.values[:0]
	if len(values) > fewValues {
		all, out = make([]bound, 0, len(values)), make([]any, 0, len(values))
	}
	for i, v := range values {
		if _, unset := v.(cqltype.Unset); unset {
			out = append(out, gocql.UnsetValue)
			continue
		}
		var param driver.Column
		if i < len(params) {
			param = params[i]
		}
		all = append(all, bound{v, param})
		out = append(out, &all[len(all)-1])
	}
	return out
}

// prepared is a statement in the form in which the driver gets it: with its values, or
// with a function that makes them once the statement is prepared.
type prepared struct {
	cql      string
	values   []any
	learn    func(*gocql.QueryInfo) ([]any, error) // nil if the values are known
	key      []byte
	keyspace string
}

// prepare returns the statement in the form in which the driver gets it. The memory may
// be nil.
func (s *session) prepare(st *driver.Statement, memory *binding) (prepared, error) {
	r, known := s.routes.Get(st.CQL)
	if !known {
		return prepared{cql: st.CQL, learn: s.learning(st)}, nil
	}
	values, err := r.values(st)
	if err != nil {
		return prepared{}, err
	}
	p := prepared{cql: st.CQL, key: r.key(values), keyspace: r.keyspace}
	params := r.params
	if r.spread != "" {
		if values, err = r.spreadOut(values); err != nil {
			return prepared{}, err
		}
		p.cql, params = r.spread, nil
	}
	if memory == nil {
		memory = new(binding)
	}
	p.values = memory.wrap(values, params)
	return p, nil
}

// learning binds a statement's values, and learns its route from its preparation.
func (s *session) learning(st *driver.Statement) func(*gocql.QueryInfo) ([]any, error) {
	return func(info *gocql.QueryInfo) ([]any, error) {
		r := routeOf(st.CQL, info)
		s.routes.Put(st.CQL, r)
		if r.spread != "" {
			return nil, errAgain
		}
		values, err := r.values(st)
		if err != nil {
			return nil, bindError{err}
		}
		return new(binding).wrap(values, r.params), nil
	}
}
