package codec

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"github.com/gocql/gocql"
)

// vector is the type vector<element, dimension>, which the driver does not know.
type vector struct {
	gocql.NativeType
	element   gocql.TypeInfo
	dimension int
}

func (v vector) name() string { return fmt.Sprintf("vector<%s, %d>", Name(v.element), v.dimension) }

const classes = "org.apache.cassandra.db.marshal."

// Resolve returns the type for which a custom type stands, if this package knows it.
// Otherwise it returns the custom type itself.
func Resolve(t gocql.TypeInfo) gocql.TypeInfo {
	if t == nil || t.Type() != gocql.TypeCustom {
		return t
	}
	if _, is := t.(vector); is || !strings.HasPrefix(t.Custom(), classes+"VectorType(") {
		return t
	}
	p := classParser{text: t.Custom(), proto: t.Version()}
	if parsed, ok := p.parse(); ok && p.text == "" {
		return parsed
	}
	return t
}

// natives are the class names of the native types.
var natives = map[string]gocql.Type{
	"AsciiType": gocql.TypeAscii, "BooleanType": gocql.TypeBoolean, "BytesType": gocql.TypeBlob, "ByteType": gocql.TypeTinyInt,
	"DecimalType": gocql.TypeDecimal, "DoubleType": gocql.TypeDouble, "DurationType": gocql.TypeDuration, "FloatType": gocql.TypeFloat,
	"InetAddressType": gocql.TypeInet, "Int32Type": gocql.TypeInt, "IntegerType": gocql.TypeVarint, "LongType": gocql.TypeBigInt,
	"ShortType": gocql.TypeSmallInt, "SimpleDateType": gocql.TypeDate, "TimeType": gocql.TypeTime, "TimestampType": gocql.TypeTimestamp,
	"TimeUUIDType": gocql.TypeTimeUUID, "UTF8Type": gocql.TypeVarchar, "UUIDType": gocql.TypeUUID,
}

// classParser reads the class names of the server's types.
type classParser struct {
	text  string
	proto byte
}

func (p *classParser) take(prefix string) bool {
	rest, ok := strings.CutPrefix(strings.TrimLeft(p.text, " "), prefix)
	if ok {
		p.text = rest
	}
	return ok
}

func (p *classParser) word() string {
	p.text = strings.TrimLeft(p.text, " ")
	end := strings.IndexAny(p.text, "(), ")
	if end < 0 {
		end = len(p.text)
	}
	word := p.text[:end]
	p.text = p.text[end:]
	return word
}

func (p *classParser) native(t gocql.Type) gocql.NativeType {
	return gocql.NewNativeType(p.proto, t, "")
}

func (p *classParser) parse() (gocql.TypeInfo, bool) {
	class := strings.TrimPrefix(p.word(), classes)
	if t, ok := natives[class]; ok {
		return p.native(t), true
	}
	if !p.take("(") {
		return nil, false
	}
	first, ok := p.parse()
	if !ok {
		return nil, false
	}
	var result gocql.TypeInfo
	switch class {
	case "FrozenType", "ReversedType":
		result = first
	case "ListType":
		result = gocql.CollectionType{NativeType: p.native(gocql.TypeList), Elem: first}
	case "SetType":
		result = gocql.CollectionType{NativeType: p.native(gocql.TypeSet), Elem: first}
	case "MapType":
		if !p.take(",") {
			return nil, false
		}
		value, ok := p.parse()
		if !ok {
			return nil, false
		}
		result = gocql.CollectionType{NativeType: p.native(gocql.TypeMap), Key: first, Elem: value}
	case "TupleType":
		elements := []gocql.TypeInfo{first}
		for p.take(",") {
			next, ok := p.parse()
			if !ok {
				return nil, false
			}
			elements = append(elements, next)
		}
		result = gocql.TupleTypeInfo{NativeType: p.native(gocql.TypeTuple), Elems: elements}
	case "VectorType":
		if !p.take(",") {
			return nil, false
		}
		dimension, err := strconv.Atoi(p.word())
		if err != nil || dimension <= 0 || dimension > maxDimension {
			return nil, false
		}
		result = vector{p.native(gocql.TypeCustom), first, dimension}
	default:
		return nil, false
	}
	return result, p.take(")")
}

// maxDimension is the server's own limit.
const maxDimension = 8192

// width returns how many bytes each value of a type takes inside a vector, 0 if that
// differs.
func width(t gocql.TypeInfo) int {
	if v, ok := t.(vector); ok {
		return width(v.element) * v.dimension
	}
	switch t.Type() {
	case gocql.TypeBoolean:
		return 1
	case gocql.TypeInt, gocql.TypeFloat:
		return 4
	case gocql.TypeBigInt, gocql.TypeDouble, gocql.TypeTimestamp:
		return 8
	case gocql.TypeUUID, gocql.TypeTimeUUID:
		return 16
	}
	return 0
}

// appendLength writes an unsigned length as the server's variable-length integer: the
// number of leading ones of the first byte is the number of bytes that follow.
func appendLength(b []byte, n uint64) []byte {
	extra := max(0, (bits.Len64(n)-1)/7)
	if extra >= 8 {
		return binary.BigEndian.AppendUint64(append(b, 0xff), n)
	}
	first := byte(n>>(8*extra)) | ^byte(0xff>>extra)
	b = append(b, first)
	for i := extra - 1; i >= 0; i-- {
		b = append(b, byte(n>>(8*i)))
	}
	return b
}

// readLength reads what appendLength writes.
func readLength(b []byte) (n uint64, rest []byte, ok bool) {
	if len(b) == 0 {
		return 0, nil, false
	}
	extra := bits.LeadingZeros8(^b[0])
	if len(b) < 1+extra {
		return 0, nil, false
	}
	if extra < 8 {
		n = uint64(b[0] & (0xff >> extra))
	}
	for _, x := range b[1 : 1+extra] {
		n = n<<8 | uint64(x)
	}
	return n, b[1+extra:], true
}

// split splits a vector's bytes into those of its elements.
func (v vector) split(data []byte) ([][]byte, error) {
	elements := make([][]byte, 0, min(v.dimension, len(data)))
	fixed := width(v.element)
	if fixed > 0 && len(data) != fixed*v.dimension {
		return nil, errorf("a %s has %d bytes", v.name(), len(data))
	}
	for range v.dimension {
		n := uint64(fixed)
		if fixed == 0 {
			var ok bool
			if n, data, ok = readLength(data); !ok {
				return nil, errorf("a %s ends early", v.name())
			}
		}
		if n > uint64(len(data)) {
			return nil, errorf("a %s ends early", v.name())
		}
		elements = append(elements, data[:n:n])
		data = data[n:]
	}
	return elements, nil
}

// join puts the bytes of the elements together.
func (v vector) join(elements [][]byte) ([]byte, error) {
	if len(elements) != v.dimension {
		return nil, errorf("a %s has %d elements, and the value has %d", v.name(), v.dimension, len(elements))
	}
	fixed := width(v.element)
	var b []byte
	for i, e := range elements {
		switch {
		case e == nil:
			return nil, errorf("element %d of a %s is null", i, v.name())
		case fixed == 0:
			b = appendLength(b, uint64(len(e)))
		case len(e) != fixed:
			return nil, errorf("element %d of a %s has %d bytes", i, v.name(), len(e))
		}
		b = append(b, e...)
	}
	return b, nil
}
