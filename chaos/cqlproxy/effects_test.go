package cqlproxy_test

import (
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/datastax/go-cassandra-native-protocol/frame"
	"github.com/datastax/go-cassandra-native-protocol/message"
	"github.com/datastax/go-cassandra-native-protocol/primitive"

	"github.com/backstay-go/backstay/chaos"
)

const selected = "SELECT n FROM k.t"

// on is a rule for reads of the table.
func on(what chaos.What) chaos.Rule {
	return chaos.Rule{Name: "r", Where: chaos.Where{Keyspace: "k", Table: "t"}, What: what}
}

// silent fails if an answer comes on stream 1: it asks on another stream, whose answer
// would come later.
func (c *client) silent() {
	c.t.Helper()
	if err := c.send(9, query("SELECT 'after'")); err != nil {
		c.t.Fatal(err)
	}
	f, err := c.receive()
	if err != nil {
		c.t.Fatal(err)
	}
	if f.Header.StreamId != 9 {
		c.t.Errorf("an answer on stream %d: %v", f.Header.StreamId, f)
	}
}

// must sends a read of the table on stream 1 without waiting.
func (c *client) must(m message.Message) {
	c.t.Helper()
	if err := c.send(1, m); err != nil {
		c.t.Fatal(err)
	}
}

// once fails unless the fault was told, of one rule, that many times.
func (b *bench) times(kind chaos.Kind, want int) {
	b.t.Helper()
	n := 0
	for _, e := range b.told.list() {
		if e.Kind != kind || e.Rule != "r" || e.Call.Node != "node1" || e.Call.Dependency != "cassandra" {
			b.t.Errorf("told of %+v", e)
		}
		n++
	}
	if n != want {
		b.t.Errorf("%d faults were told, want %d", n, want)
	}
}

func TestDropReplyExecutesAndLosesTheReply(t *testing.T) {
	eachWay(t, func(t *testing.T, b *bench, n *node, c *client) {
		b.rules(on(chaos.What{Kind: chaos.DropReply}))
		c.must(query(selected))
		soon(t, "the node has seen the request", func() bool { return n.saw(selected) == 1 })
		c.silent()
		soon(t, "the fault is told", func() bool { return len(b.told.list()) == 1 })
		b.times(chaos.DropReply, 1)
	})
}

func TestDropRequestNeverReachesTheNode(t *testing.T) {
	eachWay(t, func(t *testing.T, b *bench, n *node, c *client) {
		b.rules(on(chaos.What{Kind: chaos.DropRequest}))
		c.must(query(selected))
		c.silent()
		if n.saw(selected) != 0 {
			t.Error("the node has seen it")
		}
		b.times(chaos.DropRequest, 1)
	})
}

func TestExecuteTwiceGivesTheFirstAnswer(t *testing.T) {
	eachWay(t, func(t *testing.T, b *bench, n *node, c *client) {
		b.rules(on(chaos.What{Kind: chaos.ExecuteTwice}))
		if got := number(c.query(selected)); got != 1 || n.saw(selected) != 2 {
			t.Errorf("row %d after %d executions, want row 1 after 2", got, n.saw(selected))
		}
		c.silent()
		b.times(chaos.ExecuteTwice, 1)
	})
}

func TestWrongStreamAnswersAnother(t *testing.T) {
	eachWay(t, func(t *testing.T, b *bench, n *node, c *client) {
		b.rules(on(chaos.What{Kind: chaos.WrongStream}))
		c.must(query(selected))
		f, err := c.receive()
		if err != nil {
			t.Fatal(err)
		}
		if f.Header.StreamId == 1 || f.Header.StreamId < 0 || number(f.Body.Message) != 1 {
			t.Errorf("%v", f)
		}
	})
}

func TestStaleAnswerIsAnEarlierOne(t *testing.T) {
	eachWay(t, func(t *testing.T, b *bench, n *node, c *client) {
		stale := on(chaos.What{Kind: chaos.StaleAnswer})
		stale.When.After = 2
		b.rules(stale)
		at := func(timestamp int64) int {
			q := query(selected)
			q.Options.DefaultTimestamp = &timestamp // as drivers do: another one each time
			return number(c.ask(q))
		}
		var got []int
		for i := range 4 {
			got = append(got, at(int64(i)))
		}
		other := query(selected)
		other.Options.PositionalValues = []*primitive.Value{primitive.NewValue([]byte("another"))}
		got = append(got, number(c.ask(other)))
		if want := []int{1, 2, 2, 2, 3}; !slices.Equal(got, want) {
			t.Errorf("answers %v, want %v", got, want)
		}
		b.times(chaos.StaleAnswer, 2)
	})
}

func TestUnpreparedHasTheIDAndDriversPrepareAgain(t *testing.T) {
	eachWay(t, func(t *testing.T, b *bench, n *node, c *client) {
		p := c.ask(&message.Prepare{Query: selected}).(*message.PreparedResult)
		rule := on(chaos.What{Kind: chaos.Unprepared})
		rule.Often.Count = 1
		b.rules(rule)
		if got := number(c.query(selected)); got != 1 {
			t.Errorf("a statement that was not prepared: %d", got)
		}
		execute := &message.Execute{QueryId: p.PreparedQueryId, ResultMetadataId: p.ResultMetadataId, Options: &message.QueryOptions{}}
		m, ok := c.ask(execute).(*message.Unprepared)
		if !ok || !slices.Equal(m.Id, p.PreparedQueryId) {
			t.Fatalf("%v", m)
		}
		c.ask(&message.Prepare{Query: selected})
		if got := number(c.ask(execute)); got != 2 {
			t.Errorf("after preparing again: %d", got)
		}
		b.times(chaos.Unprepared, 1)
	})
}

func TestLatencyBeforeAndAfterExecution(t *testing.T) {
	eachWay(t, func(t *testing.T, b *bench, n *node, c *client) {
		for _, at := range []string{"before", "after"} {
			b.rules(on(chaos.What{Kind: chaos.Latency, Delay: 20 * time.Second, At: at}))
			ran := n.saw(selected)
			c.must(query(selected))
			if at == "after" {
				soon(t, "it is executed", func() bool { return n.saw(selected) == ran+1 })
			}
			c.silent() // other streams are not held up
			if at == "before" && n.saw(selected) != ran {
				t.Error("it was executed at once")
			}
			b.injector.Stop() // ends the wait
			if f, err := c.receive(); err != nil || f.Header.StreamId != 1 {
				t.Fatal(f, err)
			}
			b.injector.Start()
			b.rules(on(chaos.What{Kind: chaos.Latency, Delay: 30 * time.Millisecond, At: at}))
			begin := time.Now()
			if c.query(selected); time.Since(begin) < 30*time.Millisecond {
				t.Errorf("%s: it took %s", at, time.Since(begin))
			}
		}
	})
}

func TestHangHoldsAStreamUntilTheFaultEnds(t *testing.T) {
	eachWay(t, func(t *testing.T, b *bench, n *node, c *client) {
		for i, at := range []string{"before", "after"} {
			b.rules(on(chaos.What{Kind: chaos.Hang, At: at}))
			c.must(query(selected))
			c.silent()
			if want := i + i; at == "before" && n.saw(selected) != want {
				t.Errorf("it was executed: %d", n.saw(selected))
			}
			b.rules()
			if f, err := c.receive(); err != nil || f.Header.StreamId != 1 {
				t.Fatal(f, err)
			}
		}
	})
}

func TestHeartbeatLossIsForHeartbeatsOnly(t *testing.T) {
	eachWay(t, func(t *testing.T, b *bench, n *node, c *client) {
		rule := chaos.Rule{Name: "r", What: chaos.What{Kind: chaos.HeartbeatLoss}}
		rule.When.First = 1
		b.rules(rule)
		c.query(selected) // does not count
		before := n.saw(primitive.OpCodeOptions.String())
		c.must(&message.Options{})
		c.silent()
		if n.saw(primitive.OpCodeOptions.String()) != before {
			t.Error("the node has seen a heartbeat")
		}
		b.times(chaos.HeartbeatLoss, 1)
		if m := c.ask(&message.Options{}); m.GetOpCode() != primitive.OpCodeSupported {
			t.Error(m)
		}
	})
}

func TestPauseReadsIsBackPressure(t *testing.T) {
	eachWay(t, func(t *testing.T, b *bench, n *node, c *client) {
		b.rules(on(chaos.What{Kind: chaos.PauseReads}))
		if got := number(c.query(selected)); got != 1 {
			t.Errorf("the request itself: %d", got)
		}
		// Nothing is read any more: what the client sends fills the buffers.
		big := query("SELECT '" + strings.Repeat("x", 1<<20) + "'")
		full := make(chan error, 1)
		if err := c.conn.SetWriteDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		go func() {
			var err error
			for i := int16(2); err == nil; i++ {
				err = c.send(i, big)
			}
			full <- err
		}()
		if err := <-full; !isTimeout(err) {
			t.Errorf("writing ended with %v", err)
		}
		if got := n.requests(); got[len(got)-1] != selected {
			t.Errorf("the node has seen %d requests", len(got))
		}
		b.times(chaos.PauseReads, 1)
	})
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

func TestConnectionsEnd(t *testing.T) {
	for _, c := range []struct {
		name     string
		what     chaos.What
		executed int
		want     func([]byte, error) bool
	}{
		{"reset before", chaos.What{Kind: chaos.Reset}, 0, wasReset},
		{"reset after", chaos.What{Kind: chaos.Reset, At: "after"}, 1, wasReset},
		{"reset a while before", chaos.What{Kind: chaos.Reset, Delay: 20 * time.Millisecond}, 0, wasReset},
		{"reset a while after", chaos.What{Kind: chaos.Reset, Delay: 20 * time.Millisecond, At: "after"}, 1, wasReset},
		{"drop before", chaos.What{Kind: chaos.Drop}, 0, wasClosed},
		{"drop after", chaos.What{Kind: chaos.Drop, At: "after"}, 1, wasClosed},
		{"mid-frame", chaos.What{Kind: chaos.Truncate}, 1, func(b []byte, err error) bool { return err == nil && len(b) > 9 }},
		{"after 5 bytes", chaos.What{Kind: chaos.Truncate, Bytes: 5}, 1, func(b []byte, err error) bool { return err == nil && len(b) == 5 }},
		{"mid-request", chaos.What{Kind: chaos.Truncate, Direction: chaos.Upstream}, 0, wasClosed},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachWay(t, func(t *testing.T, b *bench, n *node, client *client) {
				b.rules(on(c.what))
				client.must(query(selected))
				got, err := io.ReadAll(client.conn)
				if !c.want(got, err) {
					t.Errorf("%d bytes, then %v", len(got), err)
				}
				if n.saw(selected) != c.executed {
					t.Errorf("executed %d times, want %d", n.saw(selected), c.executed)
				}
				b.times(c.what.Kind, 1)
				soon(t, "the connection has ended", func() bool { return b.proxy.Stats().Open == 0 })
				if m := dial(t, b.proxy.Addrs()[0], 4, "").query("SELECT 1"); number(m) < 1 {
					t.Errorf("the proxy does not live on: %v", m)
				}
			})
		})
	}
}

func wasReset(_ []byte, err error) bool    { return errors.Is(err, syscall.ECONNRESET) }
func wasClosed(got []byte, err error) bool { return err == nil && len(got) == 0 }

func TestCorruptAnswersAreNotReadable(t *testing.T) {
	eachWay(t, func(t *testing.T, b *bench, n *node, c *client) {
		b.rules(on(chaos.What{Kind: chaos.Corrupt, Bytes: 3}))
		intact := frame.NewFrame(c.version, 1, row(1))
		c.must(query(selected))
		got, err := c.receive()
		if c.version == primitive.ProtocolVersion5 {
			if err == nil || !strings.Contains(err.Error(), "crc mismatch") {
				t.Errorf("%v, %v: want a wrong checksum", got, err)
			}
		} else if err == nil && got.String() == intact.String() {
			t.Errorf("%v came intact", got)
		}
		b.times(chaos.Corrupt, 1)
	})
}

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
	f.SetCustomPayload(map[string][]byte{"baggage": []byte("backstay.chaos=canary")})
	if err := c.sendFrame(f); err != nil {
		t.Fatal(err)
	}
	if f, err := c.receive(); err != nil || f.Header.OpCode != primitive.OpCodeError {
		t.Errorf("%v, %v", f, err)
	}
}
