package cqltest

import (
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/datastax/go-cassandra-native-protocol/datatype"
	"github.com/datastax/go-cassandra-native-protocol/message"
)

// Column is a column with its type.
type Column struct {
	Name string
	Type datatype.DataType
}

// The types that scripts use most.
var (
	Text    = datatype.Varchar
	Int     = datatype.Int
	BigInt  = datatype.Bigint
	Boolean = datatype.Boolean
	Blob    = datatype.Blob
	Counter = datatype.Counter
)

// Columns makes columns from "name type" pairs, for example "id text, n int".
func Columns(list string) []Column {
	types := map[string]datatype.DataType{"text": Text, "int": Int, "bigint": BigInt, "boolean": Boolean, "blob": Blob, "counter": Counter, "uuid": datatype.Uuid, "inet": datatype.Inet}
	var cols []Column
	for pair := range strings.SplitSeq(list, ",") {
		name, kind, _ := strings.Cut(strings.TrimSpace(pair), " ")
		t := types[kind]
		if t == nil {
			panic(fmt.Sprintf("cqltest: no type %q", kind))
		}
		cols = append(cols, Column{name, t})
	}
	return cols
}

func metadata(cols []Column) []*message.ColumnMetadata {
	all := make([]*message.ColumnMetadata, len(cols))
	for i, c := range cols {
		all[i] = &message.ColumnMetadata{Keyspace: "ks", Table: "t", Name: c.Name, Type: c.Type}
	}
	return all
}

func rowsMetadata(cols []Column, state []byte) *message.RowsMetadata {
	return &message.RowsMetadata{ColumnCount: int32(len(cols)), Columns: metadata(cols), PagingState: state}
}

func rowsResult(cols []Column, state []byte, rows [][]any) *message.RowsResult {
	data := make(message.RowSet, len(rows))
	for i, row := range rows {
		for _, v := range row {
			data[i] = append(data[i], encode(v))
		}
	}
	return &message.RowsResult{Metadata: rowsMetadata(cols, state), Data: data}
}

// encode writes a Go value as the CQL type that it stands for: int is int, int64
// bigint, [16]byte uuid, and so on. Nil is null.
func encode(v any) []byte {
	switch v := v.(type) {
	case nil:
		return nil
	case string:
		return append([]byte{}, v...)
	case []byte:
		return v
	case int:
		return binary.BigEndian.AppendUint32(nil, uint32(v))
	case int64:
		return binary.BigEndian.AppendUint64(nil, uint64(v))
	case bool:
		if v {
			return []byte{1}
		}
		return []byte{0}
	case [16]byte:
		return v[:]
	case net.IP:
		return v
	case []string:
		b := binary.BigEndian.AppendUint32(nil, uint32(len(v)))
		for _, e := range v {
			b = append(binary.BigEndian.AppendUint32(b, uint32(len(e))), e...)
		}
		return b
	case map[string]string:
		b := binary.BigEndian.AppendUint32(nil, uint32(len(v)))
		for _, k := range sortedKeys(v) {
			for _, e := range []string{k, v[k]} {
				b = append(binary.BigEndian.AppendUint32(b, uint32(len(e))), e...)
			}
		}
		return b
	}
	panic(fmt.Sprintf("cqltest: no CQL type for %T", v))
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
