package cqlproxy_test

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/datastax/go-cassandra-native-protocol/datatype"
	"github.com/datastax/go-cassandra-native-protocol/frame"
	"github.com/datastax/go-cassandra-native-protocol/message"
	"github.com/datastax/go-cassandra-native-protocol/primitive"

	"github.com/backstay-go/backstay/chaos/cqlproxy"
)

// node is a scripted node. It answers statements with a row that holds how many it has
// run, so that a test sees what reached it.
type node struct {
	t      *testing.T
	listen net.Listener

	mu     sync.Mutex
	seen   []string // requests, as words
	runs   int
	wires  []*wire
	answer func(*frame.Frame) message.Message // nil answers as described above
}

func newNode(t *testing.T) *node {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, listen: l}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { n.serve(conn) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		n.mu.Lock()
		for _, w := range n.wires {
			w.conn.Close()
		}
		n.mu.Unlock()
		wg.Wait()
	})
	return n
}

func (n *node) addr() string { return n.listen.Addr().String() }

func (n *node) serve(conn net.Conn) {
	defer conn.Close()
	var first [1]byte
	if _, err := conn.Read(first[:]); err != nil {
		return
	}
	w := newWire(&prefixed{conn, first[:]}, primitive.ProtocolVersion(first[0]))
	n.mu.Lock()
	n.wires = append(n.wires, w)
	n.mu.Unlock()
	for {
		f, err := w.receive()
		if err != nil {
			return
		}
		compress := ""
		if s, ok := f.Body.Message.(*message.Startup); ok {
			compress = s.Options["COMPRESSION"]
		}
		m := n.run(f)
		if m == nil {
			continue
		}
		if err := w.send(f.Header.StreamId, m); err != nil {
			return
		}
		if f.Header.OpCode == primitive.OpCodeStartup {
			w.agree(compress)
		}
	}
}

// prefixed is a connection whose first byte was read.
type prefixed struct {
	net.Conn
	first []byte
}

func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.first) > 0 {
		n := copy(b, p.first)
		p.first = p.first[n:]
		return n, nil
	}
	return p.Conn.Read(b)
}

// run notes a request and makes its answer.
func (n *node) run(f *frame.Frame) message.Message {
	n.mu.Lock()
	defer n.mu.Unlock()
	word := f.Header.OpCode.String()
	switch m := f.Body.Message.(type) {
	case *message.Query:
		word = m.Query
	case *message.Prepare:
		word = "PREPARE " + m.Query
	}
	n.seen = append(n.seen, word)
	if n.answer != nil {
		if m := n.answer(f); m != nil {
			return m
		}
	}
	switch m := f.Body.Message.(type) {
	case *message.Startup, *message.Register:
		return &message.Ready{}
	case *message.Options:
		return &message.Supported{}
	case *message.Prepare:
		id := md5.Sum([]byte(m.Query))
		return &message.PreparedResult{PreparedQueryId: id[:], ResultMetadataId: id[:], VariablesMetadata: &message.VariablesMetadata{}, ResultMetadata: &message.RowsMetadata{}}
	}
	n.runs++
	return row(n.runs)
}

// row is a result of one row with one number.
func row(number int) message.Message {
	return &message.RowsResult{
		Metadata: &message.RowsMetadata{ColumnCount: 1, Columns: []*message.ColumnMetadata{{Keyspace: "k", Table: "t", Name: "n", Type: datatype.Int}}},
		Data:     message.RowSet{{binary.BigEndian.AppendUint32(nil, uint32(number))}},
	}
}

// number is the number of such a row; -1 if the message is another.
func number(m message.Message) int {
	if r, ok := m.(*message.RowsResult); ok && len(r.Data) == 1 && len(r.Data[0]) == 1 && len(r.Data[0][0]) == 4 {
		return int(binary.BigEndian.Uint32(r.Data[0][0]))
	}
	return -1
}

// requests are what the node has seen.
func (n *node) requests() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.seen)
}

// saw counts a request among them.
func (n *node) saw(word string) (times int) {
	for _, s := range n.requests() {
		if s == word {
			times++
		}
	}
	return times
}

// soon waits for a condition.
func soon(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-deadline.C:
			t.Fatalf("not so after 30 s: %s", what)
		case <-tick.C:
		}
	}
}

// scripted is a proxy before one scripted node.
func scripted(t *testing.T) (*bench, *node) {
	t.Helper()
	n := newNode(t)
	return start(t, cqlproxy.Config{Nodes: []cqlproxy.Node{{Name: "node1", Upstream: n.addr()}}}), n
}

// ways are the versions and compressions that a client can speak.
var ways = []struct {
	name     string
	version  primitive.ProtocolVersion
	compress string
}{
	{"v3", primitive.ProtocolVersion3, ""},
	{"v4", primitive.ProtocolVersion4, ""},
	{"v4 lz4", primitive.ProtocolVersion4, "lz4"},
	{"v4 snappy", primitive.ProtocolVersion4, "snappy"},
	{"v5", primitive.ProtocolVersion5, ""},
	{"v5 lz4", primitive.ProtocolVersion5, "lz4"},
}

func eachWay(t *testing.T, test func(t *testing.T, b *bench, n *node, c *client)) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			b, n := scripted(t)
			test(t, b, n, dial(t, b.proxy.Addrs()[0], way.version, way.compress))
		})
	}
}

func TestFramesPassAsTheyCame(t *testing.T) {
	eachWay(t, func(t *testing.T, b *bench, n *node, c *client) {
		if got := number(c.query("SELECT 1")); got != 1 {
			t.Errorf("the answer is row %d", got)
		}
		prepared := c.ask(&message.Prepare{Query: "SELECT n FROM k.t WHERE a = ?"}).(*message.PreparedResult)
		if got := number(c.ask(&message.Execute{QueryId: prepared.PreparedQueryId, ResultMetadataId: prepared.ResultMetadataId, Options: &message.QueryOptions{}})); got != 2 {
			t.Errorf("the answer is row %d", got)
		}
		// A frame of more than a segment, and many at once.
		long := "SELECT '" + string(bytes.Repeat([]byte("x"), 300_000)) + "'"
		if got := number(c.query(long)); got != 3 || n.saw(long) != 1 {
			t.Errorf("the answer is row %d", got)
		}
		for i := range 200 {
			if err := c.send(int16(i), query("SELECT 2")); err != nil {
				t.Fatal(err)
			}
		}
		streams := make(map[int16]bool)
		for range 200 {
			f, err := c.receive()
			if err != nil {
				t.Fatal(err)
			}
			streams[f.Header.StreamId] = true
		}
		if len(streams) != 200 {
			t.Errorf("answers on %d streams, want 200", len(streams))
		}
		if reported := b.failed.list(); len(reported) > 0 {
			t.Errorf("the proxy reported %q", reported)
		}
	})
}
