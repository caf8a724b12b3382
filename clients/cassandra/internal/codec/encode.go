package codec

import (
	"encoding/binary"
	"math/big"
	"net/netip"
	"reflect"
	"time"

	"github.com/gocql/gocql"

	"github.com/backstay-go/backstay/clients/cassandra/cqltype"
	"github.com/backstay-go/backstay/clients/cassandra/internal/structs"
)

// Encode returns a value's bytes; nil for null.
func Encode(t gocql.TypeInfo, v any) ([]byte, error) {
	if v == nil {
		return nil, nil
	}
	rv := reflect.ValueOf(v)
	if rv.Kind() == reflect.Pointer && rv.IsNil() {
		return nil, nil
	}
	switch v.(type) {
	case gocql.Marshaler, gocql.UDTMarshaler:
		return byDriver(t, v)
	}
	if rv.Kind() == reflect.Pointer {
		if !rv.Elem().CanInterface() {
			return nil, cannotWrite(v, t)
		}
		return Encode(t, rv.Elem().Interface())
	}
	switch t.Type() {
	case gocql.TypeUUID, gocql.TypeTimeUUID:
		if u, ok := sixteen(rv); ok {
			return u[:], nil
		}
	case gocql.TypeInet:
		if a, ok := v.(netip.Addr); ok {
			return encodeAddr(a), nil
		}
	case gocql.TypeDate:
		if at, ok := v.(time.Time); ok && !at.IsZero() {
			return encodeDate(t, at)
		}
	case gocql.TypeDuration:
		if d, ok := v.(cqltype.Duration); ok {
			return byDriver(t, gocql.Duration(d))
		}
	case gocql.TypeDecimal:
		if d, ok := v.(cqltype.Decimal); ok {
			return encodeDecimal(t, d)
		}
	case gocql.TypeList, gocql.TypeSet:
		return encodeList(t.(gocql.CollectionType), rv)
	case gocql.TypeMap:
		return encodeMap(t.(gocql.CollectionType), rv)
	case gocql.TypeTuple:
		return encodeTuple(t.(gocql.TupleTypeInfo), rv)
	case gocql.TypeUDT:
		return encodeUDT(t.(gocql.UDTTypeInfo), rv)
	case gocql.TypeCustom:
		return encodeCustom(t, rv)
	}
	return byDriver(t, v)
}

func byDriver(t gocql.TypeInfo, v any) ([]byte, error) {
	b, err := gocql.Marshal(t, v)
	if err != nil {
		return nil, translated(err, cannotWrite(v, t))
	}
	return b, nil
}

var bytesType = reflect.TypeFor[byte]()

// sixteen returns the bytes of any type that is an array of 16 of them.
func sixteen(rv reflect.Value) (u [16]byte, ok bool) {
	if rv.Kind() != reflect.Array || rv.Len() != len(u) || rv.Type().Elem() != bytesType {
		return u, false
	}
	reflect.Copy(reflect.ValueOf(u[:]), rv)
	return u, true
}

// encodeAddr writes an address; the zero value is null.
func encodeAddr(a netip.Addr) []byte {
	if !a.IsValid() {
		return nil
	}
	return a.Unmap().AsSlice()
}

const secondsOfADay = 24 * 60 * 60

// encodeDate counts whole days; the driver is a day late before 1970.
func encodeDate(t gocql.TypeInfo, at time.Time) ([]byte, error) {
	seconds := at.Unix()
	days := seconds / secondsOfADay
	if seconds%secondsOfADay < 0 {
		days--
	}
	const epoch = 1 << 31
	if days < -epoch || days >= epoch {
		return nil, errorf("a value is out of the range of the CQL type %s", Name(t))
	}
	return binary.BigEndian.AppendUint32(nil, uint32(days+epoch)), nil
}

func encodeDecimal(t gocql.TypeInfo, d cqltype.Decimal) ([]byte, error) {
	unscaled := d.Unscaled
	if unscaled == nil {
		unscaled = new(big.Int)
	}
	digits, err := byDriver(gocql.NewNativeType(t.Version(), gocql.TypeVarint, ""), unscaled)
	if err != nil {
		return nil, err
	}
	return append(binary.BigEndian.AppendUint32(nil, uint32(d.Scale)), digits...), nil
}

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
// elements in their order.
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
		// A field of an embedded pointer that is nil is null.
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

// encodeUDTMap writes null for what the map does not have.
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

// encodeCustom writes a vector, or bytes as they are for a type that is not known.
func encodeCustom(t gocql.TypeInfo, rv reflect.Value) ([]byte, error) {
	v, ok := Resolve(t).(vector)
	if !ok {
		if raw, is := rv.Interface().([]byte); is {
			return raw, nil
		}
		return nil, cannotWrite(rv.Interface(), t)
	}
	if isNil(rv) {
		return nil, nil
	}
	all, ok := elements(rv)
	if !ok || rv.Kind() == reflect.Map {
		return nil, cannotWrite(rv.Interface(), t)
	}
	items := make([][]byte, len(all))
	for i, e := range all {
		var err error
		if items[i], err = Encode(v.element, e.Interface()); err != nil {
			return nil, within(err, "element %d", i)
		}
	}
	return v.join(items)
}

// Elements returns the elements of a value that stands for a tuple of n; of null, n nulls.
func Elements(v any, n int) ([]any, error) {
	rv := reflect.ValueOf(v)
	for rv.Kind() == reflect.Pointer && !rv.IsNil() {
		rv = rv.Elem()
	}
	if !rv.IsValid() || rv.Kind() == reflect.Pointer || isNil(rv) {
		return make([]any, n), nil
	}
	all, ok := elements(rv)
	if !ok {
		all, ok = exported(rv)
	}
	if !ok || len(all) != n {
		return nil, errorf("a Go %T does not stand for a tuple of %d; use a slice, an array or a struct of as many", v, n)
	}
	values := make([]any, n)
	for i, e := range all {
		values[i] = e.Interface()
	}
	return values, nil
}
