package codec

import (
	"encoding/binary"
	"reflect"

	"github.com/gocql/gocql"

	"github.com/backstay-go/backstay/clients/cassandra/cqltype"
	"github.com/backstay-go/backstay/clients/cassandra/internal/structs"
)

// appendBytes writes the length, -1 for null, and the bytes.
func appendBytes(b, value []byte) []byte {
	if value == nil {
		return binary.BigEndian.AppendUint32(b, ^uint32(0))
	}
	return append(binary.BigEndian.AppendUint32(b, uint32(len(value))), value...)
}

// elements returns the values of a slice or array, or the keys of a map of empty
// structs, which stands for a set.
func elements(rv reflect.Value) ([]reflect.Value, bool) {
	switch rv.Kind() {
	case reflect.Slice, reflect.Array:
		all := make([]reflect.Value, rv.Len())
		for i := range all {
			all[i] = rv.Index(i)
		}
		return all, true
	case reflect.Map:
		if e := rv.Type().Elem(); e.Kind() == reflect.Struct && e.NumField() == 0 {
			return rv.MapKeys(), true
		}
	}
	return nil, false
}

func isNil(rv reflect.Value) bool {
	return (rv.Kind() == reflect.Slice || rv.Kind() == reflect.Map) && rv.IsNil()
}

func encodeList(t gocql.CollectionType, rv reflect.Value) ([]byte, error) {
	if isNil(rv) {
		return nil, nil
	}
	all, ok := elements(rv)
	if !ok {
		return nil, cannotWrite(rv.Interface(), t)
	}
	b := binary.BigEndian.AppendUint32(nil, uint32(len(all)))
	for i, e := range all {
		item, err := Encode(t.Elem, e.Interface())
		if err != nil {
			return nil, within(err, "element %d", i)
		}
		b = appendBytes(b, item)
	}
	return b, nil
}

func encodeMap(t gocql.CollectionType, rv reflect.Value) ([]byte, error) {
	if isNil(rv) {
		return nil, nil
	}
	if entries, ok := rv.Interface().([]cqltype.Entry); ok {
		b := binary.BigEndian.AppendUint32(nil, uint32(len(entries)))
		for _, e := range entries {
			var err error
			if b, err = appendEntry(b, t, e.Key, e.Value); err != nil {
				return nil, err
			}
		}
		return b, nil
	}
	if rv.Kind() != reflect.Map {
		return nil, cannotWrite(rv.Interface(), t)
	}
	b := binary.BigEndian.AppendUint32(nil, uint32(rv.Len()))
	for it := rv.MapRange(); it.Next(); {
		var err error
		if b, err = appendEntry(b, t, it.Key().Interface(), it.Value().Interface()); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func appendEntry(b []byte, t gocql.CollectionType, key, value any) ([]byte, error) {
	k, err := Encode(t.Key, key)
	if err != nil {
		return nil, within(err, "a key")
	}
	v, err := Encode(t.Elem, value)
	if err != nil {
		return nil, within(err, "a value")
	}
	return appendBytes(appendBytes(b, k), v), nil
}

// encodeTuple writes a slice, an array, or a struct whose exported fields are the
// elements in order.
func encodeTuple(t gocql.TupleTypeInfo, rv reflect.Value) ([]byte, error) {
	if isNil(rv) {
		return nil, nil
	}
	all, ok := elements(rv)
	if !ok {
		all, ok = exported(rv)
	}
	if !ok {
		return nil, cannotWrite(rv.Interface(), t)
	}
	if len(all) != len(t.Elems) {
		return nil, errorf("a %s has %d elements, and the %v has %d", Name(t), len(t.Elems), rv.Type(), len(all))
	}
	var b []byte
	for i, e := range all {
		item, err := Encode(t.Elems[i], e.Interface())
		if err != nil {
			return nil, within(err, "element %d", i)
		}
		b = appendBytes(b, item)
	}
	return b, nil
}

// exported returns a struct's exported fields in order.
func exported(rv reflect.Value) ([]reflect.Value, bool) {
	if rv.Kind() != reflect.Struct {
		return nil, false
	}
	var all []reflect.Value
	for i := range rv.NumField() {
		if f := rv.Type().Field(i); f.IsExported() && f.Tag.Get("cql") != "-" {
			all = append(all, rv.Field(i))
		}
	}
	return all, len(all) > 0
}

// encodeUDT writes a struct or a map by the names of the fields. A field or key that
// the type does not have is an error, so that no value is lost.
func encodeUDT(t gocql.UDTTypeInfo, rv reflect.Value) ([]byte, error) {
	if isNil(rv) {
		return nil, nil
	}
	if rv.Kind() == reflect.Map && rv.Type().Key().Kind() == reflect.String {
		return encodeUDTMap(t, rv)
	}
	var fs structs.Fields
	if rv.Kind() == reflect.Struct {
		fs = structs.Of(rv.Type())
	}
	if fs == nil {
		return nil, cannotWrite(rv.Interface(), t)
	}
	var b []byte
	for _, e := range t.Elements {
		index, ok := fs[e.Name]
		if !ok {
			return nil, errorf("%v has no field for %q of the type %s; name one so, or tag it `cql:%q`", rv.Type(), e.Name, Name(t), e.Name)
		}
		var item []byte
		// A field of an embedded pointer that is nil is written as null.
		if f, err := rv.FieldByIndexErr(index); err == nil {
			if item, err = Encode(e.Type, f.Interface()); err != nil {
				return nil, within(err, "field %q", e.Name)
			}
		}
		b = appendBytes(b, item)
	}
	if len(fs) > len(t.Elements) {
		return nil, strayField(t, rv.Type(), fs)
	}
	return b, nil
}

func strayField(t gocql.UDTTypeInfo, of reflect.Type, fs structs.Fields) error {
	for name, index := range fs {
		if !hasElement(t, name) {
			return errorf("the type %s has no field %q for %v.%s; take it out, or tag it `cql:\"-\"`", Name(t), name, of, of.FieldByIndex(index).Name)
		}
	}
	return nil
}

func hasElement(t gocql.UDTTypeInfo, name string) bool {
	for _, e := range t.Elements {
		if e.Name == name {
			return true
		}
	}
	return false
}

// encodeUDTMap writes null for fields that are not in the map.
func encodeUDTMap(t gocql.UDTTypeInfo, rv reflect.Value) ([]byte, error) {
	for _, key := range rv.MapKeys() {
		if !hasElement(t, key.String()) {
			return nil, errorf("the type %s has no field %q, which the map names", Name(t), key.String())
		}
	}
	var b []byte
	for _, e := range t.Elements {
		var item []byte
		if v := rv.MapIndex(reflect.ValueOf(e.Name).Convert(rv.Type().Key())); v.IsValid() {
			var err error
			if item, err = Encode(e.Type, v.Interface()); err != nil {
				return nil, within(err, "field %q", e.Name)
			}
		}
		b = appendBytes(b, item)
	}
	return b, nil
}
