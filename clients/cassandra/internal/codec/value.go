package codec

import (
	"bytes"
	"math/big"
	"reflect"
	"time"

	"github.com/gocql/gocql"

	"github.com/backstay-go/backstay/clients/cassandra/cqltype"
)

// goTypes are the Go types for values of native types if the caller names none.
var goTypes = map[gocql.Type]reflect.Type{
	gocql.TypeVarchar: reflect.TypeFor[string](), gocql.TypeAscii: reflect.TypeFor[string](), gocql.TypeText: reflect.TypeFor[string](),
	gocql.TypeInet: reflect.TypeFor[string](), gocql.TypeBlob: reflect.TypeFor[[]byte](), gocql.TypeBoolean: reflect.TypeFor[bool](),
	gocql.TypeTinyInt: reflect.TypeFor[int8](), gocql.TypeSmallInt: reflect.TypeFor[int16](), gocql.TypeInt: reflect.TypeFor[int](),
	gocql.TypeBigInt: reflect.TypeFor[int64](), gocql.TypeCounter: reflect.TypeFor[int64](), gocql.TypeVarint: reflect.TypeFor[*big.Int](),
	gocql.TypeFloat: reflect.TypeFor[float32](), gocql.TypeDouble: reflect.TypeFor[float64](), gocql.TypeDecimal: reflect.TypeFor[cqltype.Decimal](),
	gocql.TypeTimestamp: reflect.TypeFor[time.Time](), gocql.TypeDate: reflect.TypeFor[time.Time](), gocql.TypeTime: reflect.TypeFor[time.Duration](),
	gocql.TypeUUID: reflect.TypeFor[cqltype.UUID](), gocql.TypeTimeUUID: reflect.TypeFor[cqltype.UUID](), gocql.TypeDuration: reflect.TypeFor[cqltype.Duration](),
	gocql.TypeTuple: reflect.TypeFor[[]any](), gocql.TypeUDT: reflect.TypeFor[map[string]any](),
}

// goType returns the Go type for values of a CQL type if the caller names none. For an
// unknown type it is []byte, the bytes unchanged.
func goType(t gocql.TypeInfo) reflect.Type {
	switch t := Resolve(t).(type) {
	case vector:
		return reflect.SliceOf(goType(t.element))
	case gocql.CollectionType:
		if t.Type() != gocql.TypeMap {
			return reflect.SliceOf(goType(t.Elem))
		}
		key := goType(t.Key)
		switch {
		case t.Key.Type() == gocql.TypeBlob:
			key = reflect.TypeFor[string]()
		case t.Key.Type() == gocql.TypeDecimal, t.Key.Type() == gocql.TypeVarint, !key.Comparable():
			return reflect.TypeFor[[]cqltype.Entry]() // equal keys would be different pointers
		}
		return reflect.MapOf(key, goType(t.Elem))
	default:
		if known, ok := goTypes[t.Type()]; ok {
			return known
		}
		return reflect.TypeFor[[]byte]()
	}
}

// Value returns the value that the bytes stand for; nil for null.
func Value(t gocql.TypeInfo, data []byte) (any, error) {
	if data == nil {
		return nil, nil
	}
	switch t.Type() {
	case gocql.TypeVarchar, gocql.TypeAscii, gocql.TypeText:
		return string(data), nil
	case gocql.TypeBlob:
		return bytes.Clone(data), nil
	}
	if len(data) == 0 && emptyIsNull(t) {
		return nil, nil
	}
	v := reflect.New(goType(t))
	if err := Decode(t, data, v.Interface()); err != nil {
		return nil, err
	}
	return v.Elem().Interface(), nil
}

// emptyIsNull reports whether an empty value of the type, which old clients could
// write, counts as null.
func emptyIsNull(t gocql.TypeInfo) bool {
	switch t.Type() {
	case gocql.TypeCustom, gocql.TypeTuple, gocql.TypeUDT:
		return false
	}
	return true
}
