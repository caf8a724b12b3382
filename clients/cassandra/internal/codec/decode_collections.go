package codec

import (
	"encoding/binary"
	"reflect"

	"github.com/gocql/gocql"

	"github.com/backstay-go/backstay/clients/cassandra/cqltype"
	"github.com/backstay-go/backstay/clients/cassandra/internal/structs"
)

// reader reads lengths and bytes.
type reader struct {
	data  []byte
	short bool
}

func (r *reader) count() int {
	if len(r.data) < 4 {
		r.short = true
		return 0
	}
	n := int32(binary.BigEndian.Uint32(r.data))
	r.data = r.data[4:]
	if n < 0 || int64(n)*4 > int64(len(r.data)) {
		r.short = true // Each element has a length of at least four bytes.
		return 0
	}
	return int(n)
}

// next returns nil for null.
func (r *reader) next() []byte {
	if len(r.data) < 4 {
		r.short = true
		return nil
	}
	n := int32(binary.BigEndian.Uint32(r.data))
	r.data = r.data[4:]
	switch {
	case n < 0:
		return nil
	case int(n) > len(r.data):
		r.short = true
		return nil
	}
	value := r.data[:n:n]
	r.data = r.data[n:]
	return value
}

func (r *reader) err(t gocql.TypeInfo) error {
	if r.short {
		return errorf("a %s ends early", Name(t))
	}
	return nil
}

func decodeList(t gocql.CollectionType, data []byte, rv reflect.Value, dest any) error {
	if data == nil {
		rv.SetZero()
		return nil
	}
	r := reader{data: data}
	items := make([][]byte, r.count())
	for i := range items {
		items[i] = r.next()
	}
	if err := r.err(t); err != nil {
		return err
	}
	if rv.Kind() == reflect.Map {
		if _, isSet := elements(rv); isSet {
			return decodeSet(t, items, rv)
		}
	}
	return decodeItems(func(int) gocql.TypeInfo { return t.Elem }, items, rv, cannotRead(t, dest))
}

func decodeSet(t gocql.CollectionType, items [][]byte, rv reflect.Value) error {
	rv.Set(reflect.MakeMapWithSize(rv.Type(), len(items)))
	for i, item := range items {
		key := reflect.New(rv.Type().Key())
		if err := Decode(t.Elem, item, key.Interface()); err != nil {
			return within(err, "element %d", i)
		}
		rv.SetMapIndex(key.Elem(), reflect.Zero(rv.Type().Elem()))
	}
	return nil
}

// decodeItems reads elements into a slice, or into an array of the same length.
func decodeItems(typeOf func(int) gocql.TypeInfo, items [][]byte, rv reflect.Value, otherwise error) error {
	switch {
	case rv.Kind() == reflect.Slice:
		rv.Set(reflect.MakeSlice(rv.Type(), len(items), len(items)))
	case rv.Kind() != reflect.Array:
		return otherwise
	case rv.Len() != len(items):
		return errorf("%s: there are %d elements", otherwise, len(items))
	}
	for i, item := range items {
		if err := Decode(typeOf(i), item, rv.Index(i).Addr().Interface()); err != nil {
			return within(err, "element %d", i)
		}
	}
	return nil
}

func decodeMap(t gocql.CollectionType, data []byte, rv reflect.Value, dest any) error {
	if data == nil {
		rv.SetZero()
		return nil
	}
	r := reader{data: data}
	n := r.count()
	if entries, ok := dest.(*[]cqltype.Entry); ok {
		*entries = make([]cqltype.Entry, n)
		for i := range *entries {
			if err := decodeEntry(t, &r, &(*entries)[i].Key, &(*entries)[i].Value); err != nil {
				return err
			}
		}
		return r.err(t)
	}
	if rv.Kind() != reflect.Map {
		return cannotRead(t, dest)
	}
	rv.Set(reflect.MakeMapWithSize(rv.Type(), n))
	for range n {
		key, value := reflect.New(rv.Type().Key()), reflect.New(rv.Type().Elem())
		if err := decodeEntry(t, &r, key.Interface(), value.Interface()); err != nil {
			return err
		}
		if !key.Elem().Comparable() {
			return errorf("a key of the CQL type %s can't be a key in Go; read it into a []cqltype.Entry", Name(t.Key))
		}
		rv.SetMapIndex(key.Elem(), value.Elem())
	}
	return r.err(t)
}

func decodeEntry(t gocql.CollectionType, r *reader, key, value any) error {
	if err := Decode(t.Key, r.next(), key); err != nil {
		return within(err, "a key")
	}
	return within(Decode(t.Elem, r.next(), value), "a value")
}

// decodeTuple reads into a slice, an array, or a struct in the order of its exported
// fields.
func decodeTuple(t gocql.TupleTypeInfo, data []byte, rv reflect.Value, dest any) error {
	if data == nil {
		rv.SetZero()
		return nil
	}
	items := fieldsOf(data, len(t.Elems))
	fields, ok := exported(rv)
	if !ok {
		return decodeItems(func(i int) gocql.TypeInfo { return t.Elems[i] }, items, rv, cannotRead(t, dest))
	}
	if len(fields) != len(items) {
		return errorf("a %s has %d elements, and the %v has %d", Name(t), len(items), rv.Type(), len(fields))
	}
	for i, f := range fields {
		if err := Decode(t.Elems[i], items[i], f.Addr().Interface()); err != nil {
			return within(err, "element %d", i)
		}
	}
	return nil
}

// fieldsOf splits the bytes of a tuple or a user-defined type. Fields at the end may be
// missing, which means null: the type had fewer fields when the value was written.
func fieldsOf(data []byte, n int) [][]byte {
	r := reader{data: data}
	items := make([][]byte, n)
	for i := range items {
		items[i] = r.next()
	}
	return items
}

// decodeUDT reads into a struct or a map by the names of the fields.
func decodeUDT(t gocql.UDTTypeInfo, data []byte, rv reflect.Value, dest any) error {
	if data == nil {
		rv.SetZero()
		return nil
	}
	items := fieldsOf(data, len(t.Elements))
	if rv.Kind() == reflect.Map && rv.Type().Key().Kind() == reflect.String {
		rv.Set(reflect.MakeMapWithSize(rv.Type(), len(items)))
		for i, e := range t.Elements {
			value := reflect.New(rv.Type().Elem())
			if err := Decode(e.Type, items[i], value.Interface()); err != nil {
				return within(err, "field %q", e.Name)
			}
			rv.SetMapIndex(reflect.ValueOf(e.Name).Convert(rv.Type().Key()), value.Elem())
		}
		return nil
	}
	fs := structs.Of(rv.Type())
	if fs == nil {
		return cannotRead(t, dest)
	}
	rv.SetZero()
	for i, e := range t.Elements {
		index, ok := fs[e.Name]
		if !ok {
			return errorf("%v has no field for %q of the type %s; name one so, or tag it `cql:%q`", rv.Type(), e.Name, Name(t), e.Name)
		}
		if err := Decode(e.Type, items[i], structs.Pointer(rv, index).Interface()); err != nil {
			return within(err, "field %q", e.Name)
		}
	}
	return nil
}
