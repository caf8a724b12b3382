package cqltest

import (
	"bytes"
	"context"
	"encoding/binary"

	"github.com/datastax/go-cassandra-native-protocol/frame"
	"github.com/datastax/go-cassandra-native-protocol/message"
	"github.com/datastax/go-cassandra-native-protocol/primitive"
)

// Statement says how a statement is prepared and how its requests are answered.
type Statement struct {
	// Params are the types of the bound values. Default: a text for each question mark.
	Params []Column
	// Key holds the positions of the partition key among Params. Default: the first.
	Key []uint16
	// Columns are the columns of the result. Default: none.
	Columns []Column
	// Prepare answers PREPARE. If it is nil, PREPARE is answered as usual.
	Prepare func(*Node) message.Message
	// Answer answers a request, on a separate goroutine: now, later, or never.
	Answer func(*Request)
}

// Received is what a node received.
type Received struct {
	Node *Node
	// CQL is the text of the statement, or of the first statement of a batch.
	CQL string
	// Statements is the number of statements. It is 1 unless the request is a batch.
	Statements          int
	Batch, Prepared     bool
	Consistency, Serial uint16
	PageSize            int
	PageState           []byte
	// Timestamp is the timestamp that the client gave, or 0 if it gave none.
	Timestamp int64
	Values    [][]byte
	// Payload is the frame's custom payload.
	Payload map[string][]byte
}

// Request is a request that waits for its answer.
type Request struct {
	Received
	// Nth is the number of the request among those for the statement, counted from 1.
	Nth int
	// Traced says that the client asked for a trace.
	Traced bool

	conn      *conn
	stream    int16
	statement *Statement
}

// Context ends with the cluster. Scripts that wait end with it.
func (r *Request) Context() context.Context { return r.Node.cluster.ctx }

// Void answers that the statement was executed and has no result.
func (r *Request) Void() { r.conn.send(r.stream, &message.VoidResult{}) }

// Rows answers with rows of the statement's columns.
func (r *Request) Rows(rows ...[]any) { r.Page(nil, rows...) }

// Page answers with rows, and with the state that continues them.
func (r *Request) Page(state []byte, rows ...[]any) {
	r.conn.send(r.stream, rowsResult(r.statement.Columns, state, rows))
}

// RowsOf answers with rows whose columns differ from those of the statement, as the
// answers to conditional writes do.
func (r *Request) RowsOf(columns []Column, rows ...[]any) {
	r.conn.send(r.stream, rowsResult(columns, nil, rows))
}

// Applied answers a conditional write that was applied.
func (r *Request) Applied() { r.RowsOf([]Column{{"[applied]", Boolean}}, []any{true}) }

// Send answers with any message.
func (r *Request) Send(m message.Message) { r.conn.send(r.stream, m) }

// SendWith answers with any message, warnings and, if the client asked, a trace id.
func (r *Request) SendWith(m message.Message, warnings ...string) {
	f := frame.NewFrame(r.conn.version(), r.stream, m)
	f.SetWarnings(warnings)
	if r.Traced {
		id := primitive.UUID(r.Node.ID())
		f.SetTracingId(&id)
	}
	r.conn.sendFrame(f)
}

// Error answers with an error of any code, even one that the protocol's library does
// not know. fields are the bytes that follow the message.
func (r *Request) Error(code uint32, text string, fields []byte) {
	body := binary.BigEndian.AppendUint32(nil, code)
	body = append(binary.BigEndian.AppendUint16(body, uint16(len(text))), text...)
	r.Raw(r.Frame(primitive.OpCodeError, append(body, fields...)))
}

// Frame answers with any opcode and body.
func (r *Request) Frame(code primitive.OpCode, body []byte) []byte {
	b := []byte{0x80 | byte(r.conn.version()), 0, byte(uint16(r.stream) >> 8), byte(r.stream), byte(code)}
	return append(binary.BigEndian.AppendUint32(b, uint32(len(body))), body...)
}

// SendOn answers on another stream than the request's.
func (r *Request) SendOn(stream int16, m message.Message) { r.conn.send(stream, m) }

// Raw writes bytes as they are.
func (r *Request) Raw(b []byte) { r.conn.write(b) }

// Stream returns the request's stream id.
func (r *Request) Stream() int16 { return r.stream }

// Close closes the connection.
func (r *Request) Close() { r.conn.close() }

// Break sends the first bytes of a message and closes the connection.
func (r *Request) Break(m message.Message, after int) {
	var b bytes.Buffer
	if err := codec.EncodeFrame(frame.NewFrame(r.conn.version(), r.stream, m), &b); err == nil {
		r.conn.write(b.Bytes()[:min(after, b.Len())])
	}
	r.conn.close()
}
