package codec

import (
	"encoding/binary"
	"net/netip"
	"reflect"

	"github.com/gocql/gocql"

	"github.com/backstay-go/backstay/clients/cassandra/cqltype"
	"github.com/backstay-go/backstay/clients/cassandra/internal/structs"
)

// Decode reads a value's bytes, nil for null, into what dest points to. Null becomes
// the zero value, or nil where there is a pointer to hold it. A nil dest drops the
// value. A []byte that is not nil is used again.
func Decode(t gocql.TypeInfo, data []byte, dest any) error {
	switch d := dest.(type) {
	case nil:
		return nil
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

func readByDriver(t gocql.TypeInfo, data []byte, dest any) error {
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

// bytesOf keeps null, which is nil, and empty, which is not, from each other.
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
		if u, ok := sixteen(rv); ok {
			return decodeSixteen(t, data, rv, u)
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

func decodeSixteen(t gocql.TypeInfo, data []byte, rv reflect.Value, u [16]byte) error {
	if len(data) == 0 {
		rv.SetZero()
		return nil
	}
	if len(data) != len(u) {
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
		r.short = true // Each element has a length of four bytes at least.
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

// decodeItems reads elements into a slice, or an array of as many.
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

// decodeTuple reads a slice, an array, or a struct by the order of its exported fields.
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

// fieldsOf cuts a tuple's or a user-defined type's bytes. Those at the end may be
// missing, which is null: the type had fewer when the value was written.
func fieldsOf(data []byte, n int) [][]byte {
	r := reader{data: data}
	items := make([][]byte, n)
	for i := range items {
		items[i] = r.next()
	}
	return items
}

// decodeUDT reads a struct or a map by the names of the fields.
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

// decodeCustom reads a vector, or bytes as they are of a type that is not known.
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

// DecodeElements reads each element of a tuple by itself.
func DecodeElements(t gocql.TupleTypeInfo, data []byte, dest []any) error {
	for i, item := range fieldsOf(data, len(t.Elems)) {
		if err := Decode(t.Elems[i], item, dest[i]); err != nil {
			return within(err, "element %d", i)
		}
	}
	return nil
}
