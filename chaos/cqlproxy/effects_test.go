package cqlproxy_test

import (
	"slices"
	"strings"
	"testing"
	"time"

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

// once fails unless the fault of one rule was reported that many times.
func (b *bench) times(kind chaos.Kind, want int) {
	b.t.Helper()
	n := 0
	for _, e := range b.reported.list() {
		if e.Kind != kind || e.Rule != "r" || e.Call.Node != "node1" || e.Call.Dependency != "cassandra" {
			b.t.Errorf("reported %+v", e)
		}
		n++
	}
	if n != want {
		b.t.Errorf("%d faults were reported, want %d", n, want)
	}
}

func TestDropReplyExecutesAndLosesTheReply(t *testing.T) {
	eachWay(t, func(t *testing.T, b *bench, n *node, c *client) {
		b.rules(on(chaos.What{Kind: chaos.DropReply}))
		c.must(query(selected))
		soon(t, "the node has seen the request", func() bool { return n.saw(selected) == 1 })
		c.silent()
		soon(t, "the fault is reported", func() bool { return len(b.reported.list()) == 1 })
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

func TestPauseReadsEndsAfterItsDelay(t *testing.T) {
	const delay = 100 * time.Millisecond
	eachWay(t, func(t *testing.T, b *bench, n *node, c *client) {
		pause := on(chaos.What{Kind: chaos.PauseReads, Delay: delay})
		pause.When.First = 1
		b.rules(pause)
		began := time.Now()
		c.query(selected)
		if got := number(c.query(selected)); got != 2 {
			t.Errorf("row %d", got)
		}
		if took := time.Since(began); took < delay {
			t.Errorf("the next request was read after %s, less than %s", took, delay)
		}
		b.times(chaos.PauseReads, 1)
	})
}

func TestOverloadedIsNotExecuted(t *testing.T) {
	eachWay(t, func(t *testing.T, b *bench, n *node, c *client) {
		b.rules(on(chaos.What{Kind: chaos.Overloaded}))
		if m, ok := c.query(selected).(*message.Overloaded); !ok || n.saw(selected) != 0 {
			t.Errorf("%v, executed %d times", m, n.saw(selected))
		}
		b.times(chaos.Overloaded, 1)
	})
}
