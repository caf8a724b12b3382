package codec

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/gocql/gocql"
	"pgregory.net/rapid"

	"github.com/backstay-go/backstay/clients/cassandra/cqltype"
)

func native(t gocql.Type) gocql.TypeInfo { return gocql.NewNativeType(4, t, "") }

func custom(class string) gocql.TypeInfo { return gocql.NewNativeType(4, gocql.TypeCustom, class) }

func listOf(t gocql.TypeInfo) gocql.TypeInfo {
	return gocql.CollectionType{NativeType: gocql.NewNativeType(4, gocql.TypeList, ""), Elem: t}
}

func mapOf(k, v gocql.TypeInfo) gocql.TypeInfo {
	return gocql.CollectionType{NativeType: gocql.NewNativeType(4, gocql.TypeMap, ""), Key: k, Elem: v}
}

var udt = gocql.UDTTypeInfo{NativeType: gocql.NewNativeType(4, gocql.TypeUDT, ""), KeySpace: "ks", Name: "address",
	Elements: []gocql.UDTField{{Name: "street", Type: native(gocql.TypeVarchar)}, {Name: "zip_code", Type: native(gocql.TypeInt)}}}

var tuple = gocql.TupleTypeInfo{NativeType: gocql.NewNativeType(4, gocql.TypeTuple, ""), Elems: []gocql.TypeInfo{native(gocql.TypeInt), native(gocql.TypeVarchar)}}

// types are some of each kind, nested too.
func types() []gocql.TypeInfo {
	all := []gocql.TypeInfo{udt, tuple, custom(classes + "VectorType(" + classes + "FloatType , 3)"), custom(classes + "VectorType(" + classes + "ListType(" + classes + "UTF8Type),2)"),
		custom("org.example.Other"), custom(classes + "VectorType("), custom(classes + "VectorType(" + classes + "FloatType,0)")}
	for t := range goTypes {
		if t != gocql.TypeTuple && t != gocql.TypeUDT {
			all = append(all, native(t), listOf(native(t)), mapOf(native(t), udt), mapOf(native(gocql.TypeInt), listOf(native(t))))
		}
	}
	return append(all, listOf(udt), listOf(tuple), mapOf(listOf(native(gocql.TypeInt)), native(gocql.TypeBlob)))
}

func TestNames(t *testing.T) {
	for want, typ := range map[string]gocql.TypeInfo{
		"text": native(gocql.TypeVarchar), "map<text, list<int>>": mapOf(native(gocql.TypeVarchar), listOf(native(gocql.TypeInt))), "ks.address": udt, "tuple<int, text>": tuple,
		"vector<vector<float, 2>, 3>": custom(classes + "VectorType(" + classes + "VectorType(" + classes + "FloatType,2),3)"), "'org.example.Other'": custom("org.example.Other"),
	} {
		if got := Name(typ); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestLengthsGoThereAndBack: the variable-length integers of vectors.
func TestLengthsGoThereAndBack(t *testing.T) {
	for n, want := range map[uint64][]byte{0: {0}, 127: {127}, 128: {0x80, 128}, 300: {0x81, 0x2c}, 16383: {0xbf, 0xff}, 16384: {0xc0, 0x40, 0}, math.MaxUint64: {255, 255, 255, 255, 255, 255, 255, 255, 255}} {
		if got := appendLength(nil, n); !bytes.Equal(got, want) {
			t.Errorf("%d is %x, want %x", n, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Uint64().Draw(t, "n")
		got, rest, ok := readLength(append(appendLength(nil, n), 7))
		if !ok || got != n || !bytes.Equal(rest, []byte{7}) {
			t.Fatalf("%d: %d, %v, %v", n, got, rest, ok)
		}
	})
}

// TestWhatIsReadIsWrittenAgain: bytes that can be read as a type, by themselves, are a
// value that can be written as it, and that reads the same.
func TestWhatIsReadIsWrittenAgain(t *testing.T) {
	all := types()
	rapid.Check(t, func(t *rapid.T) {
		typ := rapid.SampledFrom(all).Draw(t, "type")
		data := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "data")
		v, err := Value(typ, data)
		if err != nil || v == nil {
			return
		}
		again, err := Encode(typ, v)
		if err != nil {
			t.Fatalf("%s: %x is read as %#v, which is not written: %v", Name(typ), data, v, err)
		}
		back, err := Value(typ, again)
		if err != nil || !same(back, v) {
			t.Fatalf("%s: %#v is written and read as %#v: %v", Name(typ), v, back, err)
		}
	})
}

// same compares values that may hold NaN, which is not equal to itself, or numbers of which
// there are two forms.
func same(a, b any) bool {
	return reflect.DeepEqual(a, b) || fmt.Sprintf("%+v", a) == fmt.Sprintf("%+v", b) || strings.Contains(strings.ToLower(reflect.TypeOf(a).String()), "float")
}

// FuzzDecode: no bytes make reading panic, into whatever.
func FuzzDecode(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 0, 0, 0, 4, 1, 2, 3, 4})
	f.Add([]byte{255, 255, 255, 255})
	all := types()
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, typ := range all {
			_, _ = Value(typ, data)
			for _, dest := range []any{new(string), new([]byte), new(*int), new([16]byte), new([]string), new([2]any), new(map[string]any), new([]cqltype.Entry), new(any),
				new(struct {
					Street  string
					ZipCode int
				}), new(cqltype.Decimal), new(chan int)} {
				_ = Decode(typ, data, dest)
			}
		}
	})
}

// TestErrorsHoldNoValues, whoever makes them.
func TestErrorsHoldNoValues(t *testing.T) {
	const secret = "hunter2"
	for _, typ := range types() {
		for _, v := range []any{secret, []byte(secret), []string{secret}, map[string]any{"street": secret, "zip_code": secret}, map[string]string{secret: secret}, struct{ Street, ZipCode string }{secret, secret}, [1]string{secret}, &struct{ A string }{secret}} {
			// A misspelt key is named: it is the type's word, not a value.
			if _, err := Encode(typ, v); err != nil && strings.Contains(err.Error(), secret) && !strings.Contains(err.Error(), "which the map names") {
				t.Errorf("%s: %v", Name(typ), err)
			}
		}
		if err := Decode(typ, []byte(secret), new(int8)); err != nil {
			var own *Error
			if strings.Contains(err.Error(), secret) || !errors.As(err, &own) {
				t.Errorf("%s: %v", Name(typ), err)
			}
		}
	}
}
