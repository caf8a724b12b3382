package cqlproxy_test

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/datastax/go-cassandra-native-protocol/datatype"
	"github.com/datastax/go-cassandra-native-protocol/frame"
	"github.com/datastax/go-cassandra-native-protocol/message"
	"github.com/datastax/go-cassandra-native-protocol/primitive"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/cqlproxy"
)

// peers is a result with addresses and ports, as texts; empty is null.
func peers(columns string, rows ...string) message.Message {
	r := &message.RowsResult{Metadata: &message.RowsMetadata{}}
	for _, name := range strings.Fields(columns) {
		var of datatype.DataType = datatype.Inet
		if strings.HasSuffix(name, "port") {
			of = datatype.Int
		}
		r.Metadata.Columns = append(r.Metadata.Columns, &message.ColumnMetadata{Keyspace: "system", Table: "peers", Name: name, Type: of})
	}
	r.Metadata.ColumnCount = int32(len(r.Metadata.Columns))
	for _, text := range rows {
		var row message.Row
		for _, value := range strings.Split(text, " ") {
			if ip, err := netip.ParseAddr(value); err == nil {
				row = append(row, ip.AsSlice())
			} else if value == "-" {
				row = append(row, nil)
			} else {
				var n uint32
				fmt.Sscan(value, &n)
				row = append(row, binary.BigEndian.AppendUint32(nil, n))
			}
		}
		r.Data = append(r.Data, row)
	}
	return r
}

// reported is such a result as text again.
func rowsOf(m message.Message) []string {
	r, ok := m.(*message.RowsResult)
	if !ok {
		return []string{fmt.Sprint(m)}
	}
	var rows []string
	for _, row := range r.Data {
		var values []string
		for i, v := range row {
			switch {
			case v == nil:
				values = append(values, "-")
			case strings.HasSuffix(r.Metadata.Columns[i].Name, "port"):
				values = append(values, fmt.Sprint(binary.BigEndian.Uint32(v)))
			default:
				values = append(values, net.IP(v).String())
			}
		}
		rows = append(rows, strings.Join(values, " "))
	}
	return rows
}

func TestAddressesOfNodesBecomeTheProxys(t *testing.T) {
	n := newNode(t)
	b := start(t, cqlproxy.Config{Nodes: []cqlproxy.Node{
		{Name: "node1", Upstream: n.addr(), Advertised: "10.0.0.1:9042", Listen: "127.1.0.1:0"},
		{Name: "node2", Upstream: "10.0.0.2:9042", Listen: "127.1.0.2:0"},
		{Name: "node3", Upstream: "localhost:9043", Advertised: "[fd00::3]:9042", Listen: "127.1.0.3:0"},
	}})
	port := func(i int) string { return strings.Split(b.proxy.Addrs()[i-1], ":")[1] }
	for _, c := range []struct {
		text, columns string
		in, want      []string
	}{
		{"SELECT * FROM system.local", "rpc_address rpc_port broadcast_address listen_address", []string{"10.0.0.1 9042 10.0.0.1 10.0.0.1"}, []string{"127.1.0.1 " + port(1) + " 127.1.0.1 127.1.0.1"}},
		{"SELECT * FROM system.peers", "peer rpc_address preferred_ip", []string{"10.0.0.2 10.0.0.2 -", "10.9.9.9 fd00::3 -", "10.0.0.4 10.0.0.4 -"}, []string{"127.1.0.2 127.1.0.2 -", "10.9.9.9 127.1.0.3 -"}},
		{"SELECT * FROM system.peers_v2", "peer peer_port native_address native_port", []string{"10.0.0.2 7000 10.0.0.2 9042", "10.0.0.2 7001 10.0.0.2 9043"}, []string{"127.1.0.2 7000 127.1.0.2 " + port(2)}},
		{"SELECT * FROM system.peers", "peer rpc_address", []string{"10.0.0.2 0.0.0.0", "10.0.0.2 -", "- -"}, []string{"127.1.0.2 0.0.0.0", "127.1.0.2 -", "- -"}},
		{"select peer from \"system\".peers", "peer", []string{"10.0.0.2", "10.0.0.4"}, []string{"127.1.0.2"}},
		{"SELECT * FROM k.peers", "peer", []string{"10.0.0.2"}, []string{"10.0.0.2"}},
		{"SELECT schema_port FROM system.peers", "schema_port", []string{"5"}, []string{"5"}},
	} {
		n.mu.Lock()
		n.answer = func(f *frame.Frame) message.Message {
			if op := f.Header.OpCode; op == primitive.OpCodeQuery || op == primitive.OpCodeExecute {
				if e, ok := f.Body.Message.(*message.Execute); ok && e.Options.SkipMetadata {
					t.Error("an answer without columns was asked for")
				}
				return peers(c.columns, c.in...)
			}
			return nil
		}
		n.mu.Unlock()
		for _, way := range ways {
			client := dial(t, b.proxy.Addrs()[0], way.version, way.compress)
			if got := rowsOf(client.query(c.text)); !slices.Equal(got, c.want) {
				t.Errorf("%s, %s: %q, want %q", way.name, c.text, got, c.want)
			}
			if strings.Contains(c.text, "k.") {
				continue
			}
			p := client.ask(&message.Prepare{Query: c.text}).(*message.PreparedResult)
			if got := rowsOf(client.ask(&message.Execute{QueryId: p.PreparedQueryId, ResultMetadataId: p.ResultMetadataId, Options: &message.QueryOptions{SkipMetadata: true}})); !slices.Equal(got, c.want) {
				t.Errorf("%s, %s, prepared: %q, want %q", way.name, c.text, got, c.want)
			}
		}
	}
	if reported := b.failed.list(); len(reported) > 0 {
		t.Errorf("the proxy reported %q", reported)
	}
}

func TestAddressesInEventsBecomeTheProxys(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			n := newNode(t)
			b := start(t, cqlproxy.Config{Nodes: []cqlproxy.Node{{Name: "node1", Upstream: n.addr(), Advertised: "10.0.0.1:9042"}}})
			c := dial(t, b.proxy.Addrs()[0], way.version, way.compress)
			c.ask(&message.Register{EventTypes: []primitive.EventType{primitive.EventTypeStatusChange}})
			ours := netip.MustParseAddrPort(b.proxy.Addrs()[0])
			n.mu.Lock()
			node := n.wires[0]
			n.mu.Unlock()
			at := func(ip string) *primitive.Inet { return &primitive.Inet{Addr: net.ParseIP(ip).To4(), Port: 9042} }
			for _, m := range []message.Message{
				&message.StatusChangeEvent{ChangeType: primitive.StatusChangeTypeDown, Address: at("10.0.0.9")}, // no proxy is before it
				&message.StatusChangeEvent{ChangeType: primitive.StatusChangeTypeDown, Address: at("10.0.0.1")},
				&message.TopologyChangeEvent{ChangeType: primitive.TopologyChangeTypeNewNode, Address: at("10.0.0.1")},
				&message.SchemaChangeEvent{ChangeType: primitive.SchemaChangeTypeCreated, Target: primitive.SchemaChangeTargetKeyspace, Keyspace: "k"},
			} {
				if err := node.send(-1, m); err != nil {
					t.Fatal(err)
				}
			}
			for _, want := range []string{"DOWN", "NEW_NODE", "CREATED"} {
				f, err := c.receive()
				if err != nil {
					t.Fatal(err)
				}
				var address *primitive.Inet
				var change string
				switch m := f.Body.Message.(type) {
				case *message.StatusChangeEvent:
					change, address = string(m.ChangeType), m.Address
				case *message.TopologyChangeEvent:
					change, address = string(m.ChangeType), m.Address
				case *message.SchemaChangeEvent:
					change = string(m.ChangeType)
				}
				if change != want || address != nil && (address.Addr.String() != ours.Addr().String() || address.Port != int32(ours.Port())) {
					t.Errorf("%s %v, want %s at %s", change, address, want, ours)
				}
			}
		})
	}
}

func TestKnownNamesTheSchemasTables(t *testing.T) {
	n := newNode(t)
	n.answer = func(f *frame.Frame) message.Message {
		q, ok := f.Body.Message.(*message.Query)
		if !ok {
			return nil
		}
		r := &message.RowsResult{Metadata: &message.RowsMetadata{ColumnCount: 2}}
		for _, name := range []string{"keyspace_name", "table_name"} {
			r.Metadata.Columns = append(r.Metadata.Columns, &message.ColumnMetadata{Keyspace: "system_schema", Table: "tables", Name: name, Type: datatype.Varchar})
		}
		if strings.HasSuffix(q.Query, "system_schema.tables") {
			r.Data = message.RowSet{{[]byte("licenses"), []byte("streams")}, {[]byte("licenses"), []byte("feed")}}
		} else {
			r.Data = message.RowSet{{[]byte("system_views"), []byte("clients")}}
		}
		return r
	}
	b := start(t, cqlproxy.Config{Nodes: []cqlproxy.Node{{Name: "node1", Upstream: n.addr()}}})
	known, err := b.proxy.Known(t.Context())
	if err != nil || !slices.Equal(known.Keyspaces, []string{"licenses", "system_views"}) || !slices.Equal(known.Tables, []string{"clients", "feed", "streams"}) {
		t.Fatalf("%+v, %v", known, err)
	}
	b.rules(on(chaos.What{Kind: chaos.DropReply}))
	err = b.injector.Plan().CheckNames(known)
	want := `plan: rules[0].where.keyspace: "r": no keyspace is called "k"; there are: licenses, system_views
plan: rules[0].where.table: "r": no table is called "t"; there are: clients, feed, streams`
	if err == nil || err.Error() != want {
		t.Errorf("%v\nwant\n%s", err, want)
	}
	for i := range 20 {
		known.Tables = append(known.Tables, fmt.Sprint("t", i))
	}
	b.rules(chaos.Rule{Where: chaos.Where{Table: "x"}, What: chaos.What{Kind: chaos.DropReply}})
	if err := b.injector.Plan().CheckNames(known); err == nil || !strings.HasSuffix(err.Error(), "t7, t8 and 11 more") {
		t.Errorf("%v", err)
	}
}
