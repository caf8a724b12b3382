package codec

import (
	"encoding/binary"
	"math/big"
	"net/netip"
	"reflect"
	"time"

	"github.com/gocql/gocql"

	"github.com/backstay-go/backstay/clients/cassandra/cqltype"
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

// encodeDate counts whole days. The driver's own conversion is off by one day before
// 1970.
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

// encodeCustom writes a vector. For an unknown type it writes the given bytes
// unchanged.
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

// Elements returns the n elements of a value that stands for a tuple. For null it
// returns n nulls.
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
