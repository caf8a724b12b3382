package codec

import (
	"encoding/binary"
	"net/netip"
	"reflect"

	"github.com/gocql/gocql"

	"github.com/backstay-go/backstay/clients/cassandra/cqltype"
)

// Decode converts a value's bytes, nil for null, and stores the result where dest
// points. Null becomes the zero value, or nil if there is a pointer to hold it. A nil
// dest drops the value. If dest points to a []byte that is not nil, its memory is
// reused.
func Decode(t gocql.TypeInfo, data []byte, dest any) error {
	if dest == nil {
		return nil
	}
	if len(data) > 0 && !fits(t.Type(), len(data)) {
		return errorf("a value of the type %s has %d bytes", Name(t), len(data))
	}
	switch d := dest.(type) {
	case gocql.Unmarshaler, gocql.UDTUnmarshaler:
		return readByDriver(t, data, dest)
	case *any:
		v, err := Value(t, data)
		if err == nil {
			*d = v
		}
		return err
	case *[]byte:
		if isText(t) {
			*d = bytesOf(*d, data)
			return nil
		}
	case *string, *int, *int32, *int64, *bool, *float32, *float64:
		if t.Type() != gocql.TypeCustom {
			return readByDriver(t, data, dest)
		}
	}
	return decodeOther(t, data, dest)
}

// fits checks that a value of the type can have this number of bytes. The driver would
// read some wrong sizes as zero.
func fits(t gocql.Type, n int) bool {
	switch t {
	case gocql.TypeBoolean, gocql.TypeTinyInt:
		return n == 1
	case gocql.TypeSmallInt:
		return n == 2
	case gocql.TypeInt, gocql.TypeFloat, gocql.TypeDate:
		return n == 4
	case gocql.TypeBigInt, gocql.TypeCounter, gocql.TypeDouble, gocql.TypeTimestamp, gocql.TypeTime:
		return n == 8
	case gocql.TypeUUID, gocql.TypeTimeUUID:
		return n == 16
	case gocql.TypeInet:
		return n == 4 || n == 16
	}
	return true
}

// readByDriver uses the driver's conversion, which panics if there are too few bytes,
// or that of one of the caller's types, which may panic too.
func readByDriver(t gocql.TypeInfo, data []byte, dest any) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errorf("%s: it panicked (%T) over %d bytes", cannotRead(t, dest), p, len(data))
		}
	}()
	if err := gocql.Unmarshal(t, data, dest); err != nil {
		return translated(err, cannotRead(t, dest))
	}
	return nil
}

func isText(t gocql.TypeInfo) bool {
	switch t.Type() {
	case gocql.TypeVarchar, gocql.TypeAscii, gocql.TypeText, gocql.TypeBlob:
		return true
	}
	return false
}

// bytesOf keeps null, which is nil, distinct from empty, which is not.
func bytesOf(into, data []byte) []byte {
	if data == nil {
		return nil
	}
	if into == nil {
		into = make([]byte, 0, len(data))
	}
	return append(into[:0], data...)
}

func decodeOther(t gocql.TypeInfo, data []byte, dest any) error {
	rv := reflect.ValueOf(dest)
	if rv.Kind() != reflect.Pointer || rv.IsNil() {
		return errorf("values are read into pointers that are not nil, not into a %T", dest)
	}
	rv = rv.Elem()
	switch rv.Kind() {
	case reflect.Pointer:
		if data == nil {
			rv.SetZero()
			return nil
		}
		fresh := reflect.New(rv.Type().Elem())
		if err := Decode(t, data, fresh.Interface()); err != nil {
			return err
		}
		rv.Set(fresh)
		return nil
	case reflect.Interface:
		return decodeInterface(t, data, rv, dest)
	}
	switch t.Type() {
	case gocql.TypeUUID, gocql.TypeTimeUUID:
		if _, ok := sixteen(rv); ok {
			return decodeSixteen(t, data, rv)
		}
	case gocql.TypeInet:
		if a, ok := dest.(*netip.Addr); ok {
			return decodeAddr(t, data, a)
		}
	case gocql.TypeDuration:
		if d, ok := dest.(*cqltype.Duration); ok {
			return readByDriver(t, data, (*gocql.Duration)(d))
		}
	case gocql.TypeDecimal:
		if d, ok := dest.(*cqltype.Decimal); ok {
			return decodeDecimal(t, data, d)
		}
	case gocql.TypeList, gocql.TypeSet:
		return decodeList(t.(gocql.CollectionType), data, rv, dest)
	case gocql.TypeMap:
		return decodeMap(t.(gocql.CollectionType), data, rv, dest)
	case gocql.TypeTuple:
		return decodeTuple(t.(gocql.TupleTypeInfo), data, rv, dest)
	case gocql.TypeUDT:
		return decodeUDT(t.(gocql.UDTTypeInfo), data, rv, dest)
	case gocql.TypeCustom:
		return decodeCustom(t, data, rv, dest)
	}
	return readByDriver(t, data, dest)
}

func decodeInterface(t gocql.TypeInfo, data []byte, rv reflect.Value, dest any) error {
	v, err := Value(t, data)
	if err != nil {
		return err
	}
	if v == nil {
		rv.SetZero()
		return nil
	}
	if !reflect.TypeOf(v).AssignableTo(rv.Type()) {
		return cannotRead(t, dest)
	}
	rv.Set(reflect.ValueOf(v))
	return nil
}

func decodeSixteen(t gocql.TypeInfo, data []byte, rv reflect.Value) error {
	if len(data) == 0 {
		rv.SetZero()
		return nil
	}
	if len(data) != rv.Len() {
		return errorf("a %s has %d bytes", Name(t), len(data))
	}
	reflect.Copy(rv, reflect.ValueOf(data))
	return nil
}

func decodeAddr(t gocql.TypeInfo, data []byte, a *netip.Addr) error {
	if len(data) == 0 {
		*a = netip.Addr{}
		return nil
	}
	addr, ok := netip.AddrFromSlice(data)
	if !ok {
		return errorf("an %s has %d bytes", Name(t), len(data))
	}
	*a = addr
	return nil
}

func decodeDecimal(t gocql.TypeInfo, data []byte, d *cqltype.Decimal) error {
	if len(data) == 0 {
		*d = cqltype.Decimal{}
		return nil
	}
	if len(data) < 4 {
		return errorf("a decimal has %d bytes", len(data))
	}
	d.Scale = int32(binary.BigEndian.Uint32(data))
	return readByDriver(gocql.NewNativeType(t.Version(), gocql.TypeVarint, ""), data[4:], &d.Unscaled)
}

// decodeCustom reads a vector. For an unknown type it returns the bytes unchanged.
func decodeCustom(t gocql.TypeInfo, data []byte, rv reflect.Value, dest any) error {
	v, ok := Resolve(t).(vector)
	if !ok {
		if raw, is := dest.(*[]byte); is {
			*raw = bytesOf(*raw, data)
			return nil
		}
		return cannotRead(t, dest)
	}
	if data == nil {
		rv.SetZero()
		return nil
	}
	items, err := v.split(data)
	if err != nil {
		return err
	}
	return decodeItems(func(int) gocql.TypeInfo { return v.element }, items, rv, cannotRead(t, dest))
}

// DecodeElements reads each element of a tuple separately.
func DecodeElements(t gocql.TupleTypeInfo, data []byte, dest []any) error {
	for i, item := range fieldsOf(data, len(t.Elems)) {
		if err := Decode(t.Elems[i], item, dest[i]); err != nil {
			return within(err, "element %d", i)
		}
	}
	return nil
}
