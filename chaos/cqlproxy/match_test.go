package cqlproxy_test

import (
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/datastax/go-cassandra-native-protocol/frame"
	"github.com/datastax/go-cassandra-native-protocol/message"
	"github.com/datastax/go-cassandra-native-protocol/primitive"

	"github.com/backstay-go/backstay/chaos"
)

func TestRulesMatchWhatTheyName(t *testing.T) {
	b, n := scripted(t)
	c := dial(t, b.proxy.Addrs()[0], primitive.ProtocolVersion4, "")
	yes, no := true, false
	p := c.ask(&message.Prepare{Query: "UPDATE k.t SET n = ? WHERE a = ? IF n = ?"}).(*message.PreparedResult)
	execute := &message.Execute{QueryId: p.PreparedQueryId, Options: &message.QueryOptions{Consistency: primitive.ConsistencyLevelLocalQuorum}}
	insert := &message.Query{Query: "INSERT INTO k.t (a, n) VALUES (1, 2)", Options: &message.QueryOptions{Consistency: primitive.ConsistencyLevelQuorum}}
	batch := &message.Batch{Children: []*message.BatchChild{{Query: "INSERT INTO k.t (a) VALUES (1)"}, {Id: p.PreparedQueryId}, {Query: "DELETE FROM k.u WHERE a = 1"}}, Consistency: primitive.ConsistencyLevelOne}
	all := []message.Message{query(selected), execute, insert, batch, query("SELECT * FROM system.local"), &message.Prepare{Query: "SELECT a FROM k.t"}, &message.Options{}, &message.Register{EventTypes: []primitive.EventType{"SCHEMA_CHANGE"}}}
	for _, test := range []struct {
		name  string
		where chaos.Where
		want  []int // indexes in all
	}{
		{"everything", chaos.Where{}, []int{0, 1, 2, 3}},
		{"dependency", chaos.Where{Dependency: "cassandra"}, []int{0, 1, 2, 3}},
		{"another dependency", chaos.Where{Dependency: "catalog"}, nil},
		{"protocol", chaos.Where{Protocol: chaos.CQL}, []int{0, 1, 2, 3}},
		{"node", chaos.Where{Node: "node1"}, []int{0, 1, 2, 3}},
		{"another node", chaos.Where{Node: "node2"}, nil},
		{"keyspace", chaos.Where{Keyspace: "k"}, []int{0, 1, 2, 3}},
		{"table", chaos.Where{Table: "t"}, []int{0, 1, 2}},
		{"tables of a batch", chaos.Where{Table: "t,u"}, []int{3}},
		{"operation", chaos.Where{Operation: "UPDATE"}, []int{1}},
		{"batch", chaos.Where{Operation: "BATCH"}, []int{3}},
		{"text of a prepared statement", chaos.Where{Statement: "UPDATE*IF n*"}, []int{1}},
		{"text in a batch", chaos.Where{Statement: "*DELETE FROM k.u*"}, []int{3}},
		{"consistency", chaos.Where{Consistency: "LOCAL_QUORUM"}, []int{1}},
		{"conditional", chaos.Where{Conditional: &yes}, []int{1, 3}},
		{"not conditional", chaos.Where{Conditional: &no}, []int{0, 2}},
		{"system tables, by name", chaos.Where{Keyspace: "system"}, []int{4}},
		{"preparing, by name", chaos.Where{Operation: "PREPARE"}, []int{5}},
		{"heartbeats, by name", chaos.Where{Operation: "OPTIONS"}, []int{6}},
		{"registering, by name", chaos.Where{Operation: "REGISTER"}, []int{7}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c.t = t
			b.rules(chaos.Rule{Name: "r", Where: test.where, What: chaos.What{Kind: chaos.CQLError, Code: "server_error"}})
			var got []int
			for i, m := range all {
				if c.ask(m).GetOpCode() == primitive.OpCodeError {
					got = append(got, i)
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("hit %v, want %v", got, test.want)
			}
		})
	}
	if n.saw("USE k") != 0 {
		t.Error("a test of USE belongs to another")
	}
}

func TestUseAndKeyspacesOfRequestsCount(t *testing.T) {
	b, n := scripted(t)
	n.answer = func(f *frame.Frame) message.Message {
		if q, ok := f.Body.Message.(*message.Query); ok && q.Query == "USE k" {
			return &message.SetKeyspaceResult{Keyspace: "k"}
		}
		return nil
	}
	b.rules(chaos.Rule{Name: "r", Where: chaos.Where{Keyspace: "k", Table: "t"}, What: chaos.What{Kind: chaos.CQLError, Code: "server_error"}})
	c := dial(t, b.proxy.Addrs()[0], primitive.ProtocolVersion5, "")
	if m := c.query("SELECT n FROM t"); number(m) != 1 {
		t.Errorf("without a keyspace: %v", m)
	}
	q := query("SELECT n FROM t")
	q.Options.Keyspace = "k"
	if m := c.ask(q); m.GetOpCode() != primitive.OpCodeError {
		t.Errorf("with the request's keyspace: %v", m)
	}
	c.query("USE k")
	if m := c.query("SELECT n FROM t"); m.GetOpCode() != primitive.OpCodeError {
		t.Errorf("after USE: %v", m)
	}
}

func TestStatementsThatWerePreparedBeforeAreLearned(t *testing.T) {
	b, n := scripted(t)
	direct := dial(t, n.addr(), primitive.ProtocolVersion4, "")
	p := direct.ask(&message.Prepare{Query: selected}).(*message.PreparedResult)
	c := dial(t, b.proxy.Addrs()[0], primitive.ProtocolVersion4, "")
	execute := &message.Execute{QueryId: p.PreparedQueryId, Options: &message.QueryOptions{}}
	if got := number(c.ask(execute)); got != 1 {
		t.Errorf("without rules it passes: %d", got)
	}
	b.rules(on(chaos.What{Kind: chaos.CQLError, Code: "invalid"}))
	if m, ok := c.ask(execute).(*message.Unprepared); !ok || !slices.Equal(m.Id, p.PreparedQueryId) {
		t.Errorf("%v", m)
	}
	c.ask(&message.Prepare{Query: selected})
	if m, ok := c.ask(execute).(*message.Invalid); !ok {
		t.Errorf("the rule does not match: %v", m)
	}
	b.times(chaos.CQLError, 1)
}

func TestFaultsThatWaitForBytesOrForTheConnectionsAge(t *testing.T) {
	b, n := scripted(t)
	c := dial(t, b.proxy.Addrs()[0], primitive.ProtocolVersion4, "")
	b.rules(on(chaos.What{Kind: chaos.Drop, AfterBytes: 1 << 10, Direction: chaos.Upstream}))
	c.query(selected)
	c.query("SELECT '" + strings.Repeat("x", 1<<10) + "'")
	c.must(query(selected))
	if got, err := io.ReadAll(c.conn); !wasClosed(got, err) || n.saw(selected) != 1 {
		t.Errorf("%q, %v, %d executed", got, err, n.saw(selected))
	}
	b.rules(on(chaos.What{Kind: chaos.Drop, AfterUptime: time.Hour}))
	if got := number(dial(t, b.proxy.Addrs()[0], primitive.ProtocolVersion4, "").query(selected)); got < 1 {
		t.Errorf("row %d", got)
	}
}

func TestNthCountsStatementsThatMatch(t *testing.T) {
	b, _ := scripted(t)
	c := dial(t, b.proxy.Addrs()[0], primitive.ProtocolVersion4, "")
	rule := on(chaos.What{Kind: chaos.Overloaded, Message: "go away"})
	rule.When.Nth = 2
	b.rules(rule)
	for i, want := range []bool{false, true, false} {
		c.query("SELECT n FROM k.other")
		m, over := c.query(selected).(*message.Overloaded)
		if over != want || over && m.ErrorMessage != "go away" {
			t.Errorf("call %d: overloaded %v, %v", i+1, over, m)
		}
	}
}

// TestScopesTravelInTheCustomPayload: so does the trace, in which the fault is reported.
func TestScopesTravelInTheCustomPayload(t *testing.T) {
	b, _ := scripted(t)
	c := dial(t, b.proxy.Addrs()[0], primitive.ProtocolVersion4, "")
	rule := on(chaos.What{Kind: chaos.CQLError, Code: "server_error"})
	rule.Whom.Scope = "canary"
	b.rules(rule)
	if m := c.query(selected); number(m) != 1 {
		t.Errorf("another's request is hit: %v", m)
	}
	f := frame.NewFrame(c.version, 1, query(selected))
	f.SetCustomPayload(map[string][]byte{"baggage": []byte("backstay.chaos=canary"),
		"traceparent": []byte("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")})
	if err := c.sendFrame(f); err != nil {
		t.Fatal(err)
	}
	if f, err := c.receive(); err != nil || f.Header.OpCode != primitive.OpCodeError {
		t.Errorf("%v, %v", f, err)
	}
	b.reported.mu.Lock()
	defer b.reported.mu.Unlock()
	if got := b.reported.traces; len(got) != 1 || got[0] != "0af7651916cd43dd8448eb211c80319c" {
		t.Errorf("reported in traces %q", got)
	}
}
