package codec

import (
	"strings"

	"github.com/gocql/gocql"
)

// Name returns the type as CQL writes it, for example map<text, list<int>>.
func Name(t gocql.TypeInfo) string {
	switch t := Resolve(t).(type) {
	case nil:
		return "unknown"
	case gocql.CollectionType:
		if t.Type() == gocql.TypeMap {
			return "map<" + Name(t.Key) + ", " + Name(t.Elem) + ">"
		}
		return t.Type().String() + "<" + Name(t.Elem) + ">"
	case gocql.TupleTypeInfo:
		return "tuple<" + names(t.Elems) + ">"
	case gocql.UDTTypeInfo:
		return t.KeySpace + "." + t.Name
	case vector:
		return t.name()
	default:
		if t.Type() == gocql.TypeCustom {
			return "'" + t.Custom() + "'"
		}
		if t.Type() == gocql.TypeVarchar {
			return "text"
		}
		return t.Type().String()
	}
}

func names(types []gocql.TypeInfo) string {
	all := make([]string, len(types))
	for i, t := range types {
		all[i] = Name(t)
	}
	return strings.Join(all, ", ")
}
