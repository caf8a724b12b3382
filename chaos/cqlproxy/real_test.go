package cqlproxy_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/datastax/go-cassandra-native-protocol/message"
	"github.com/datastax/go-cassandra-native-protocol/primitive"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/cluster"
	"github.com/backstay-go/backstay/internal/cassandratest"
)

// TestFaultsOnRealNodes: what is executed is in the table, what is not is not there.
func TestFaultsOnRealNodes(t *testing.T) {
	hosts, keyspace := cassandratest.Keyspace(t)
	b := before(t, hosts)
	direct := dial(t, fmt.Sprint(hosts[0], ":", cluster.Port), primitive.ProtocolVersion5, "")
	table := keyspace + ".e"
	direct.query("CREATE TABLE " + table + " (id int PRIMARY KEY, c counter)")
	direct.query("CREATE TABLE " + keyspace + ".w (id int PRIMARY KEY, v int)")
	// ask repeats while the nodes do not agree on the schema yet.
	ask := func(c *client, text string) message.Message {
		var m message.Message
		soon(t, "the nodes agree on the schema", func() bool {
			m = c.ask(&message.Query{Query: text, Options: &message.QueryOptions{Consistency: primitive.ConsistencyLevelQuorum}})
			return !strings.Contains(fmt.Sprint(m), "INCOMPATIBLE_SCHEMA")
		})
		return m
	}
	count := func(table, where string) int {
		if r, ok := ask(direct, "SELECT * FROM "+table+" WHERE "+where).(*message.RowsResult); ok {
			return len(r.Data)
		}
		return -1
	}
	soon(t, "the tables are everywhere", func() bool { return count(table, "id = 0") == 0 && count(keyspace+".w", "id = 0") == 0 })
	for i, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			c := dial(t, b.proxy.Addrs()[0], way.version, way.compress)
			rule := func(what chaos.What) chaos.Rule {
				// A separate name, because rules that keep their name keep their counts.
				return chaos.Rule{Name: fmt.Sprint(way.name, what.Kind), Where: chaos.Where{Keyspace: keyspace}, What: what, When: chaos.When{First: 1}}
			}
			id := 10 * (i + 1)
			lost := rule(chaos.What{Kind: chaos.DropReply})
			b.rules(lost)
			c.must(query(fmt.Sprintf("INSERT INTO %s.w (id, v) VALUES (%d, 1) IF NOT EXISTS", keyspace, id)))
			soon(t, "the lost reply's write is there", func() bool { return count(keyspace+".w", fmt.Sprint("id = ", id)) == 1 })
			// The write can be seen before its reply comes. Without its rule the reply would pass.
			b.rules(lost, rule(chaos.What{Kind: chaos.DropRequest}))
			c.must(query(fmt.Sprintf("INSERT INTO %s.w (id, v) VALUES (%d, 1)", keyspace, id+1)))
			// The next request's answer comes, and the lost ones' do not.
			if err := c.send(2, query(fmt.Sprintf("SELECT v FROM %s.w WHERE id = %d", keyspace, id+1))); err != nil {
				t.Fatal(err)
			}
			f, err := c.receive()
			if err != nil || f.Header.StreamId != 2 {
				t.Fatal(f, err)
			}
			if n := count(keyspace+".w", fmt.Sprint("id = ", id+1)); n != 0 {
				t.Errorf("the lost request was executed: %d rows", n)
			}
			b.rules(rule(chaos.What{Kind: chaos.ExecuteTwice}))
			if m := ask(c, fmt.Sprintf("UPDATE %s SET c = c + 1 WHERE id = %d", table, id)); m.GetOpCode() != primitive.OpCodeResult {
				t.Fatal(m)
			}
			r, ok := ask(direct, fmt.Sprintf("SELECT c FROM %s WHERE id = %d", table, id)).(*message.RowsResult)
			if !ok || len(r.Data) != 1 || !bytes.Equal(r.Data[0][0], []byte{0, 0, 0, 0, 0, 0, 0, 2}) {
				t.Errorf("the counter is %v, want 2", r)
			}
		})
	}
}

// TestANodeRefusesAsTheProxyDoes compares what a version that nobody speaks is answered.
func TestANodeRefusesAsTheProxyDoes(t *testing.T) {
	hosts := cassandratest.Hosts(t)
	b := before(t, hosts)
	for _, sent := range []string{"\x02\x00\x05\x05\x00\x00\x00\x00", "\x7f\x00\x00\x07\x05\x00\x00\x00\x00", "\x16\x03\x01\x02\x00\x01\x00\x00\x00"} {
		var headers [2][]byte
		for i, addr := range []string{fmt.Sprint(hosts[0], ":", cluster.Port), b.proxy.Addrs()[0]} {
			conn := connect(t, addr, 4).conn
			if _, err := conn.Write([]byte(sent)); err != nil {
				t.Fatal(err)
			}
			answer := make([]byte, 512)
			n := 0
			for n < 60 {
				more, err := conn.Read(answer[n:])
				if err != nil {
					t.Fatal(err)
				}
				n += more
			}
			text := bytes.Index(answer, []byte("Invalid or unsupported protocol version"))
			if text < 0 {
				t.Fatalf("%q", answer[:n])
			}
			headers[i] = answer[:1]
			if len(answer[:text]) != map[bool]int{true: 14, false: 15}[sent[0] == 2] {
				t.Errorf("%s: %d bytes before the text", addr, text)
			}
		}
		if !bytes.Equal(headers[0], headers[1]) {
			t.Errorf("%q: a node answers in version %x, the proxy in %x", sent, headers[0], headers[1])
		}
	}
}
