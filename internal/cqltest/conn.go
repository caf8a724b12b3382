package cqltest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/datastax/go-cassandra-native-protocol/frame"
	"github.com/datastax/go-cassandra-native-protocol/message"
	"github.com/datastax/go-cassandra-native-protocol/primitive"
)

var codec = frame.NewCodec()

// conn is one connection of a client.
type conn struct {
	node       *Node
	net        net.Conn
	spoken     atomic.Uint32 // the client's version of the protocol
	registered atomic.Bool
	carried    atomic.Bool // requests for scripted statements
	deaf       atomic.Bool
	mu         sync.Mutex // for writers
}

func (c *conn) close() { _ = c.net.Close() } // An error means that it is closed already.

func (c *conn) serve() {
	defer c.close()
	for {
		if !c.thawed() {
			return
		}
		f, err := codec.DecodeFrame(c.net)
		// Bytes that came while the node was frozen wait too, because it was already reading.
		if err != nil || !c.thawed() {
			return
		}
		if newest := c.node.cluster.newest(); f.Header.Version > newest {
			c.spoken.Store(uint32(newest))
			c.send(f.Header.StreamId, &message.ProtocolError{ErrorMessage: fmt.Sprintf(
				"Invalid or unsupported protocol version (%d); the lowest supported version is 3 and the greatest is %d", f.Header.Version, newest)})
			if newest < primitive.ProtocolVersion4 {
				return // as Cassandra before 4.0
			}
			continue
		}
		c.spoken.Store(uint32(f.Header.Version))
		if c.node.silent.Load() || c.deaf.Load() {
			c.node.swallowed.Add(1)
			continue
		}
		c.handle(f)
	}
}

// thawed waits until the node is not frozen. It returns false if the cluster has ended.
func (c *conn) thawed() bool {
	if gate := c.node.frozen.Load(); gate != nil {
		select {
		case <-*gate:
		case <-c.node.cluster.ctx.Done():
			return false
		}
	}
	return true
}

func (c *conn) handle(f *frame.Frame) {
	stream := f.Header.StreamId
	config := c.node.cluster.credentials()
	switch m := f.Body.Message.(type) {
	case *message.Options:
		c.send(stream, &message.Supported{Options: map[string][]string{"CQL_VERSION": {"3.4.5"}, "COMPRESSION": {}}})
	case *message.Startup:
		if config.Username != "" {
			c.send(stream, &message.Authenticate{Authenticator: config.authenticator()})
			return
		}
		c.send(stream, &message.Ready{})
	case *message.AuthResponse:
		c.node.logins.Add(1)
		if refusal := c.node.cluster.refusal(); refusal != "" {
			c.send(stream, &message.AuthenticationError{ErrorMessage: refusal})
			return
		}
		if string(m.Token) != "\x00"+config.Username+"\x00"+config.Password {
			c.send(stream, &message.AuthenticationError{ErrorMessage: "Provided username " + config.Username + " and/or password are incorrect"})
			return
		}
		c.send(stream, &message.AuthSuccess{})
	case *message.Register:
		c.registered.Store(true)
		c.send(stream, &message.Ready{})
	case *message.Prepare:
		c.prepare(stream, m)
	case *message.Query:
		if c.system(stream, m.Query) {
			return
		}
		c.scripted(f, Received{CQL: m.Query, Statements: 1}, m.Options)
	case *message.Execute:
		cql, ok := c.node.prepared.Load(string(m.QueryId))
		if !ok {
			c.send(stream, &message.Unprepared{ErrorMessage: "not prepared", Id: m.QueryId})
			return
		}
		if c.system(stream, cql.(string)) {
			return
		}
		c.scripted(f, Received{CQL: cql.(string), Statements: 1, Prepared: true}, m.Options)
	case *message.Batch:
		c.batch(f, m)
	default:
		c.send(stream, &message.ProtocolError{ErrorMessage: fmt.Sprintf("cqltest does not know %T", m)})
	}
}

func (c *conn) batch(f *frame.Frame, m *message.Batch) {
	r := Received{Statements: len(m.Children), Batch: true, Consistency: uint16(m.Consistency)}
	for i, child := range m.Children {
		cql := child.Query
		if child.Id != nil {
			known, ok := c.node.prepared.Load(string(child.Id))
			if !ok {
				c.send(f.Header.StreamId, &message.Unprepared{ErrorMessage: "not prepared", Id: child.Id})
				return
			}
			cql = known.(string)
		}
		if i == 0 {
			r.CQL = cql
		}
	}
	options := &message.QueryOptions{Consistency: m.Consistency, SerialConsistency: m.SerialConsistency, DefaultTimestamp: m.DefaultTimestamp}
	c.scripted(f, r, options)
}

// scripted answers a request according to the script.
func (c *conn) scripted(f *frame.Frame, r Received, o *message.QueryOptions) {
	r.Node, r.Payload = c.node, f.Body.CustomPayload
	if o != nil {
		r.Consistency, r.PageSize, r.PageState = uint16(o.Consistency), int(o.PageSize), o.PagingState
		if o.DefaultTimestamp != nil {
			r.Timestamp = *o.DefaultTimestamp
		}
		if o.SerialConsistency != nil {
			r.Serial = uint16(*o.SerialConsistency)
		}
		for _, v := range o.PositionalValues {
			r.Values = append(r.Values, v.Contents)
		}
	}
	s := c.node.cluster.statement(r.CQL)
	if s == nil || s.Answer == nil {
		c.send(f.Header.StreamId, &message.Invalid{ErrorMessage: "cqltest has no script for " + r.CQL})
		return
	}
	c.node.requests.Add(1)
	c.carried.Store(true)
	req := &Request{Received: r, Nth: c.node.cluster.receive(r), Traced: f.Header.Flags.Contains(primitive.HeaderFlagTracing),
		conn: c, stream: f.Header.StreamId, statement: s}
	c.node.cluster.work.Go(func() { s.Answer(req) })
}

func (c *conn) prepare(stream int16, m *message.Prepare) {
	sum := sha256.Sum256([]byte(m.Query))
	id := sum[:16]
	cl := c.node.cluster
	if cols, params, ok := systemShape(m.Query); ok {
		c.node.prepared.Store(string(id), m.Query)
		c.send(stream, &message.PreparedResult{PreparedQueryId: id,
			VariablesMetadata: &message.VariablesMetadata{Columns: metadata(params)}, ResultMetadata: rowsMetadata(cols, nil)})
		return
	}
	s := cl.statement(m.Query)
	c.node.prepares.Add(1)
	if s == nil {
		word, _, _ := strings.Cut(strings.TrimSpace(m.Query), " ")
		c.send(stream, &message.SyntaxError{ErrorMessage: "cqltest has no script for a statement that begins with " + word})
		return
	}
	if s.Prepare != nil {
		if answer := s.Prepare(c.node); answer != nil {
			c.send(stream, answer)
			return
		}
	}
	c.node.prepared.Store(string(id), m.Query)
	c.send(stream, &message.PreparedResult{PreparedQueryId: id,
		VariablesMetadata: &message.VariablesMetadata{PkIndices: s.Key, Columns: metadata(s.Params)}, ResultMetadata: rowsMetadata(s.Columns, nil)})
}

func (c *conn) send(stream int16, m message.Message) {
	c.sendFrame(frame.NewFrame(c.version(), stream, m))
}

func (c *conn) version() primitive.ProtocolVersion {
	return max(primitive.ProtocolVersion(c.spoken.Load()), primitive.ProtocolVersion3)
}

func (c *conn) sendFrame(f *frame.Frame) {
	var b bytes.Buffer
	if err := codec.EncodeFrame(f, &b); err != nil {
		panic(fmt.Sprintf("cqltest: a script's answer can't be encoded: %v", err))
	}
	c.write(b.Bytes())
}

// write ignores its error: a client that has disconnected needs no answer.
func (c *conn) write(b []byte) {
	if c.node.silent.Load() || c.deaf.Load() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _ = c.net.Write(b)
}
