package cqlproxy_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/datastax/go-cassandra-native-protocol/message"
	"github.com/datastax/go-cassandra-native-protocol/primitive"

	"github.com/backstay-go/backstay/chaos"
)

// TestEachErrorOfTheProtocolWithItsFields reads each error, with given and with left
// out fields, as another's decoder reads it, or byte by byte where that lacks it.
func TestEachErrorOfTheProtocolWithItsFields(t *testing.T) {
	const local = primitive.ConsistencyLevelLocalQuorum
	reasons := []*primitive.FailureReason{{Endpoint: net.IP{10, 0, 0, 1}, Code: 1}, {Endpoint: net.IP{10, 0, 0, 2}, Code: 0}}
	type fields = map[string]string
	for _, c := range []struct {
		code   string
		fields fields
		sent   message.Message // nil: a read at QUORUM
		want   map[int]message.Message
	}{
		{code: "server_error", want: map[int]message.Message{4: &message.ServerError{ErrorMessage: "m"}}},
		{code: "protocol_error", want: map[int]message.Message{4: &message.ProtocolError{ErrorMessage: "m"}}},
		{code: "bad_credentials", want: map[int]message.Message{4: &message.AuthenticationError{ErrorMessage: "m"}}},
		{code: "unavailable", want: map[int]message.Message{4: &message.Unavailable{ErrorMessage: "m", Consistency: primitive.ConsistencyLevelQuorum, Required: 2, Alive: 1}}},
		{code: "unavailable", fields: fields{"consistency": "LOCAL_QUORUM", "required": "5", "alive": "3"},
			want: map[int]message.Message{3: &message.Unavailable{ErrorMessage: "m", Consistency: local, Required: 5, Alive: 3}}},
		{code: "overloaded", want: map[int]message.Message{4: &message.Overloaded{ErrorMessage: "m"}}},
		{code: "is_bootstrapping", want: map[int]message.Message{4: &message.IsBootstrapping{ErrorMessage: "m"}}},
		{code: "truncate_error", want: map[int]message.Message{4: &message.TruncateError{ErrorMessage: "m"}}},
		{code: "write_timeout", sent: &message.Query{Query: "UPDATE k.t SET a = 1 WHERE b = 1 IF a = 2", Options: &message.QueryOptions{Consistency: local}},
			want: map[int]message.Message{
				4: &message.WriteTimeout{ErrorMessage: "m", Consistency: local, Received: 1, BlockFor: 2, WriteType: "CAS"},
				5: &message.WriteTimeout{ErrorMessage: "m", Consistency: local, Received: 1, BlockFor: 2, WriteType: "CAS"}}},
		{code: "write_timeout", fields: fields{"received": "0", "required": "1", "write_type": "CAS", "contentions": "7"},
			want: map[int]message.Message{5: &message.WriteTimeout{ErrorMessage: "m", Consistency: primitive.ConsistencyLevelQuorum, Received: 0, BlockFor: 1, WriteType: "CAS", Contentions: 7}}},
		{code: "write_timeout", sent: &message.Batch{Type: primitive.BatchTypeUnlogged, Children: []*message.BatchChild{{Query: "DELETE FROM k.t WHERE a = 1"}}, Consistency: primitive.ConsistencyLevelOne},
			want: map[int]message.Message{4: &message.WriteTimeout{ErrorMessage: "m", Consistency: primitive.ConsistencyLevelOne, Received: 0, BlockFor: 1, WriteType: "UNLOGGED_BATCH"}}},
		{code: "write_timeout", sent: &message.Batch{Type: primitive.BatchTypeLogged, Children: []*message.BatchChild{{Query: "DELETE FROM k.t WHERE a = 1"}}, Consistency: primitive.ConsistencyLevelAll},
			want: map[int]message.Message{4: &message.WriteTimeout{ErrorMessage: "m", Consistency: primitive.ConsistencyLevelAll, Received: 2, BlockFor: 3, WriteType: "BATCH"}}},
		{code: "read_timeout", want: map[int]message.Message{4: &message.ReadTimeout{ErrorMessage: "m", Consistency: primitive.ConsistencyLevelQuorum, Received: 1, BlockFor: 2}}},
		{code: "read_timeout", fields: fields{"data_present": "true"}, want: map[int]message.Message{4: &message.ReadTimeout{ErrorMessage: "m", Consistency: primitive.ConsistencyLevelQuorum, Received: 1, BlockFor: 2, DataPresent: true}}},
		{code: "read_failure", fields: fields{"reasons": "10.0.0.1=1 10.0.0.2=0", "data_present": "true", "received": "0"},
			want: map[int]message.Message{
				3: &message.ReadTimeout{ErrorMessage: "m", Consistency: primitive.ConsistencyLevelQuorum, Received: 0, BlockFor: 2, DataPresent: true},
				4: &message.ReadFailure{ErrorMessage: "m", Consistency: primitive.ConsistencyLevelQuorum, Received: 0, BlockFor: 2, NumFailures: 2, DataPresent: true},
				5: &message.ReadFailure{ErrorMessage: "m", Consistency: primitive.ConsistencyLevelQuorum, Received: 0, BlockFor: 2, FailureReasons: reasons, DataPresent: true}}},
		{code: "function_failure", fields: fields{"keyspace": "k", "function": "f", "arg_types": "int; map<text, int>"},
			want: map[int]message.Message{
				3: &message.Invalid{ErrorMessage: "m"},
				4: &message.FunctionFailure{ErrorMessage: "m", Keyspace: "k", Function: "f", Arguments: []string{"int", "map<text, int>"}}}},
		{code: "write_failure", fields: fields{"reasons": "10.0.0.1=1 10.0.0.2=0"},
			want: map[int]message.Message{
				3: &message.WriteTimeout{ErrorMessage: "m", Consistency: primitive.ConsistencyLevelQuorum, Received: 1, BlockFor: 2, WriteType: "SIMPLE"},
				4: &message.WriteFailure{ErrorMessage: "m", Consistency: primitive.ConsistencyLevelQuorum, Received: 1, BlockFor: 2, NumFailures: 2, WriteType: "SIMPLE"},
				5: &message.WriteFailure{ErrorMessage: "m", Consistency: primitive.ConsistencyLevelQuorum, Received: 1, BlockFor: 2, FailureReasons: reasons, WriteType: "SIMPLE"}}},
		{code: "cdc_write_failure", want: map[int]message.Message{3: &message.Invalid{ErrorMessage: "m"}}},
		{code: "cas_write_unknown", want: map[int]message.Message{
			3: &message.WriteTimeout{ErrorMessage: "m", Consistency: primitive.ConsistencyLevelQuorum, Received: 1, BlockFor: 2, WriteType: "CAS"},
			4: &message.WriteTimeout{ErrorMessage: "m", Consistency: primitive.ConsistencyLevelQuorum, Received: 1, BlockFor: 2, WriteType: "CAS"}}},
		{code: "syntax_error", want: map[int]message.Message{4: &message.SyntaxError{ErrorMessage: "m"}}},
		{code: "unauthorized", want: map[int]message.Message{4: &message.Unauthorized{ErrorMessage: "m"}}},
		{code: "invalid", want: map[int]message.Message{4: &message.Invalid{ErrorMessage: "m"}}},
		{code: "config_error", want: map[int]message.Message{4: &message.ConfigError{ErrorMessage: "m"}}},
		{code: "already_exists", want: map[int]message.Message{4: &message.AlreadyExists{ErrorMessage: "m", Keyspace: "k", Table: "t"}}},
		{code: "already_exists", fields: fields{"keyspace": "a", "table": "b"}, want: map[int]message.Message{5: &message.AlreadyExists{ErrorMessage: "m", Keyspace: "a", Table: "b"}}},
		{code: "unprepared", fields: fields{"id": "c0ffee"}, want: map[int]message.Message{4: &message.Unprepared{ErrorMessage: "m", Id: []byte{0xc0, 0xff, 0xee}}}},
	} {
		for version, want := range c.want {
			for _, at := range []string{"before", "after"} {
				t.Run(fmt.Sprintf("%s v%d %s", c.code, version, at), func(t *testing.T) {
					b, n := scripted(t)
					b.rules(on(chaos.What{Kind: chaos.CQLError, Code: c.code, Fields: c.fields, Message: "m", At: at}))
					client := dial(t, b.proxy.Addrs()[0], primitive.ProtocolVersion(version), "")
					sent := c.sent
					if sent == nil {
						sent = &message.Query{Query: selected, Options: &message.QueryOptions{Consistency: primitive.ConsistencyLevelQuorum}}
					}
					got := client.ask(sent)
					if fmt.Sprintf("%T %+v", got, got) != fmt.Sprintf("%T %+v", want, want) {
						t.Errorf("%T %+v\nwant %T %+v", got, got, want, want)
					}
					n.mu.Lock()
					defer n.mu.Unlock()
					if (n.runs == 1) != (at == "after") {
						t.Errorf("executed %d times", n.runs)
					}
				})
			}
		}
	}
}

// TestTheErrorsThatTheLibraryLacks: CDC_WRITE_FAILURE and CAS_WRITE_UNKNOWN.
func TestTheErrorsThatTheLibraryLacks(t *testing.T) {
	for _, c := range []struct {
		code   string
		fields map[string]string
		want   string
	}{
		{"cdc_write_failure", nil, "\x00\x00\x16\x00\x00\x01m"},
		{"cas_write_unknown", nil, "\x00\x00\x17\x00\x00\x01m\x00\x04\x00\x00\x00\x01\x00\x00\x00\x02"},
		{"cas_write_unknown", map[string]string{"consistency": "LOCAL_SERIAL", "received": "3", "required": "4"}, "\x00\x00\x17\x00\x00\x01m\x00\x09\x00\x00\x00\x03\x00\x00\x00\x04"},
	} {
		b, _ := scripted(t)
		b.rules(on(chaos.What{Kind: chaos.CQLError, Code: c.code, Fields: c.fields, Message: "m"}))
		client := dial(t, b.proxy.Addrs()[0], primitive.ProtocolVersion5, "")
		client.must(&message.Query{Query: selected, Options: &message.QueryOptions{Consistency: primitive.ConsistencyLevelQuorum}})
		s, err := client.segments.DecodeSegment(client.conn)
		if err != nil {
			t.Fatal(err)
		}
		want := binary.BigEndian.AppendUint32([]byte{0x85, 0, 0, 1, 0}, uint32(len(c.want)))
		if got := s.Payload.UncompressedData; !bytes.Equal(got, append(want, c.want...)) {
			t.Errorf("%s: %q, want %q", c.code, got, c.want)
		}
	}
}

func TestAnErrorNamesItsRule(t *testing.T) {
	b, _ := scripted(t)
	b.rules(on(chaos.What{Kind: chaos.CQLError, Code: "invalid"}))
	m, ok := dial(t, b.proxy.Addrs()[0], primitive.ProtocolVersion4, "").query(selected).(*message.Invalid)
	if !ok || m.ErrorMessage != `invalid (injected by chaos rule "r")` {
		t.Errorf("%v", m)
	}
}

// TestTheHandshakeCanFail: rules that name them hit STARTUP and what else a driver sends
// for itself, and nothing waits for ever.
func TestTheHandshakeCanFail(t *testing.T) {
	b, n := scripted(t)
	startup := &message.Startup{Options: map[string]string{"CQL_VERSION": "3.0.0"}}
	rule := func(what chaos.What) chaos.Rule {
		return chaos.Rule{Name: "r", Where: chaos.Where{Operation: "STARTUP"}, What: what, When: chaos.When{First: 1}}
	}
	b.rules(rule(chaos.What{Kind: chaos.CQLError, Code: "is_bootstrapping"}))
	c := connect(t, b.proxy.Addrs()[0], primitive.ProtocolVersion5)
	if m, ok := c.ask(startup).(*message.IsBootstrapping); !ok || n.saw(primitive.OpCodeStartup.String()) != 0 {
		t.Errorf("%v", m)
	}
	if m := c.ask(startup); m.GetOpCode() != primitive.OpCodeReady {
		t.Errorf("%v", m)
	}
	c.agree("")
	if got := number(c.query(selected)); got != 1 {
		t.Errorf("row %d", got)
	}
	// A late READY is still a bare frame.
	b.rules(chaos.Rule{Name: "r", Where: chaos.Where{Operation: "STARTUP"}, What: chaos.What{Kind: chaos.Latency, Delay: 10e6, At: "after"}})
	if got := number(dial(t, b.proxy.Addrs()[0], primitive.ProtocolVersion5, "lz4").query(selected)); got != 2 {
		t.Errorf("row %d", got)
	}
	b.rules(chaos.Rule{Name: "r", Where: chaos.Where{Operation: "STARTUP"}, What: chaos.What{Kind: chaos.Drop}})
	c = connect(t, b.proxy.Addrs()[0], primitive.ProtocolVersion4)
	c.must(startup)
	if got, err := io.ReadAll(c.conn); !wasClosed(got, err) {
		t.Errorf("%q, %v", got, err)
	}
}
