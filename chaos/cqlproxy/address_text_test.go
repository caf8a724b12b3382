package cqlproxy

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
)

// resultOf is an answer with one row: columns are name and type, in the order of values.
func resultOf(columns []string, values ...[]byte) answer {
	b := binary.BigEndian.AppendUint32(nil, resultRows)
	b = binary.BigEndian.AppendUint32(b, rowsGlobalTable)
	b = binary.BigEndian.AppendUint32(b, uint32(len(columns)))
	b = appendString(appendString(b, "system"), "local")
	for _, column := range columns {
		name, of, _ := strings.Cut(column, ":")
		b = appendString(b, name)
		b = binary.BigEndian.AppendUint16(b, map[string]uint16{"inet": typeInet, "int": typeInt, "text": typeText, "ascii": typeASCII}[of])
	}
	b = binary.BigEndian.AppendUint32(b, 1)
	for _, value := range values {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(value))), value...)
	}
	return answer{frame: newFrame(0x84, 0, 1, opResult, b), message: b}
}

// TestNoNodesAddressLeaves: whatever a statement makes of its columns, clients see the
// proxy's address and port; and rows of nodes without a proxy stay hidden.
func TestNoNodesAddressLeaves(t *testing.T) {
	own := pair{netip.MustParseAddrPort("10.0.0.1:9042"), netip.MustParseAddrPort("127.1.0.1:7001")}
	other := pair{netip.MustParseAddrPort("[fd00::3]:9042"), netip.MustParseAddrPort("127.1.0.3:7003")}
	all := addresses{own, other}
	ip := netip.MustParseAddr("10.0.0.1").AsSlice()
	port := binary.BigEndian.AppendUint32(nil, 9042)
	mine, theirs := string(own.listen.Addr().AsSlice()), string(binary.BigEndian.AppendUint32(nil, 7001))
	for _, c := range []struct {
		text    string
		columns []string
		values  [][]byte
		want    []string // nil: the row is hidden
	}{
		{"SELECT rpc_address AS a, rpc_port AS p FROM system.local", []string{"a:inet", "p:int"}, [][]byte{ip, port}, []string{mine, theirs}},
		{`SELECT DISTINCT rpc_address AS "A b" FROM system.local`, []string{"A b:inet"}, [][]byte{ip}, []string{mine}},
		{"select rpc_port as p, key from system.local", []string{"p:int", "key:text"}, [][]byte{port, []byte("local")}, []string{theirs, "local"}},
		{"SELECT broadcast_address AS b, listen_address FROM system.local", []string{"b:inet", "listen_address:inet"}, [][]byte{ip, ip}, []string{mine, mine}},
		{"SELECT JSON rpc_address FROM system.local", []string{"[json]:text"}, [][]byte{[]byte(`{"rpc_address": "10.0.0.1"}`)}, []string{`{"rpc_address": "127.1.0.1"}`}},
		{"SELECT JSON rpc_address AS a, rpc_port AS p FROM system.local", []string{"[json]:text"}, [][]byte{[]byte(`{"a": "10.0.0.1", "p": 9042}`)}, []string{`{"a": "127.1.0.1", "p": 7001}`}},
		{"SELECT JSON * FROM system.local", []string{"[json]:text"}, [][]byte{[]byte(`{"key": "local", "broadcast_address": "10.0.0.1", "broadcast_port": 7000, "cluster_name": "10.0.0.1", "listen_address": "10.0.0.1", "rpc_address": "10.0.0.1", "rpc_port": 9042}`)},
			[]string{`{"key": "local", "broadcast_address": "127.1.0.1", "broadcast_port": 7000, "cluster_name": "10.0.0.1", "listen_address": "127.1.0.1", "rpc_address": "127.1.0.1", "rpc_port": 7001}`}},
		{"SELECT toJson(rpc_address) FROM system.local", []string{"system.tojson(rpc_address):text"}, [][]byte{[]byte(`"10.0.0.1"`)}, []string{`"127.1.0.1"`}},
		{"SELECT to_json(rpc_address), to_json(rpc_port) FROM system.local", []string{"system.to_json(rpc_address):text", "system.to_json(rpc_port):text"}, [][]byte{[]byte(`"10.0.0.1"`), []byte("9042")}, []string{`"127.1.0.1"`, "7001"}},
		{"SELECT toJson(rpc_address) AS a, CAST(rpc_port AS text) AS p FROM system.local", []string{"a:text", "p:text"}, [][]byte{[]byte(`"10.0.0.1"`), []byte("9042")}, []string{`"127.1.0.1"`, "7001"}},
		{"SELECT CAST(rpc_address AS ascii) FROM system.local", []string{"cast(rpc_address as ascii):ascii"}, [][]byte{[]byte("10.0.0.1")}, []string{"127.1.0.1"}},
		{"SELECT toJson(native_address) AS a FROM system.peers_v2", []string{"a:text"}, [][]byte{[]byte(`"fd00:0:0:0:0:0:0:3"`)}, []string{`"127.1.0.3"`}},
		{"SELECT JSON peer, rpc_address FROM system.peers", []string{"[json]:text"}, [][]byte{[]byte(`{"peer": "10.0.0.1", "rpc_address": "10.0.0.1"}`)}, []string{`{"peer": "127.1.0.1", "rpc_address": "127.1.0.1"}`}},
		{"SELECT JSON peer FROM system.peers", []string{"[json]:text"}, [][]byte{[]byte(`{"peer": "10.0.0.1"}`)}, []string{`{"peer": "127.1.0.1"}`}},
		{"SELECT toJson(rpc_address) FROM system.peers", []string{"system.tojson(rpc_address):text"}, [][]byte{[]byte(`"10.0.0.9"`)}, nil},
		{"SELECT rpc_address AS a FROM system.peers", []string{"a:inet"}, [][]byte{netip.MustParseAddr("10.0.0.9").AsSlice()}, nil},
		{"SELECT JSON * FROM system.peers", []string{"[json]:text"}, [][]byte{[]byte(`{"peer": "10.0.0.1", "rpc_address": "10.0.0.9"}`)}, nil},
	} {
		out, err := all.rows(resultOf(c.columns, c.values...), parseStatement(c.text), own)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		a, err := readAnswer(out, out.body())
		if err != nil {
			t.Fatal(err)
		}
		r, err := readRows(a)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, row := range r.data {
			for _, value := range row {
				got = append(got, string(value))
			}
		}
		if strings.Join(got, "|") != strings.Join(c.want, "|") {
			t.Errorf("%s: %q, want %q", c.text, got, c.want)
		}
	}
}

// TestADriverFindsAPeerByTheKeyThatItRead: what it asks for by a proxy's address is asked for
// by the node's, as a literal and as a value.
func TestADriverFindsAPeerByTheKeyThatItRead(t *testing.T) {
	all := addresses{{netip.MustParseAddrPort("10.0.0.1:9042"), netip.MustParseAddrPort("127.1.0.1:7001")}, {netip.MustParseAddrPort("[fd00::3]:9042"), netip.MustParseAddrPort("127.1.0.3:7003")}}
	long := func(text string) []byte {
		return append(binary.BigEndian.AppendUint32(nil, uint32(len(text))), text...)
	}
	const by = "SELECT * FROM system.peers WHERE peer = "
	tail := []byte{0, 1, 0}
	value := func(ip string) []byte {
		return append([]byte{0, 1, 1, 0, 1, 0, 0, 0, 4}, netip.MustParseAddr(ip).AsSlice()...)
	}
	for _, c := range []struct {
		op         byte
		body, want []byte
	}{
		{opQuery, append(long(by+"'127.1.0.1'"), tail...), append(long(by+"'10.0.0.1'"), tail...)},
		{opQuery, append(long(by+"'127.1.0.3'"), tail...), append(long(by+"'fd00::3'"), tail...)},
		{opPrepare, long(by + "'127.1.0.1'"), long(by + "'10.0.0.1'")},
		{opQuery, append(long(by+"?"), value("127.1.0.1")...), append(long(by+"?"), value("10.0.0.1")...)},
		{opQuery, append(long(by+"'10.0.0.9'"), tail...), append(long(by+"'10.0.0.9'"), tail...)},
	} {
		f := newFrame(4, 0, 1, c.op, c.body)
		r := readRequest(f, c.body, nil)
		if !r.runs() && r.op != opPrepare {
			t.Fatal("not read")
		}
		out, body := all.asked(f, r, c.body)
		if string(body) != string(c.want) || string(out.body()) != string(c.want) {
			t.Errorf("%q, want %q", out.body(), c.want)
		}
	}
}
