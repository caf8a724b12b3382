package cqlproxy_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/datastax/go-cassandra-native-protocol/frame"
	"github.com/datastax/go-cassandra-native-protocol/message"
	"github.com/datastax/go-cassandra-native-protocol/primitive"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/cqlproxy"
)

// livesOn fails unless the proxy still serves.
func (b *bench) livesOn() {
	b.t.Helper()
	if m := dial(b.t, b.proxy.Addrs()[0], primitive.ProtocolVersion4, "").query("SELECT 1"); number(m) < 1 {
		b.t.Errorf("the proxy does not live on: %v", m)
	}
}

func TestWhatBreaksTheFramingGetsTheProtocolsError(t *testing.T) {
	unsupported := func(n string) string {
		return "Invalid or unsupported protocol version (" + n + "); supported versions are (3/v3, 4/v4, 5/v5)"
	}
	for _, c := range []struct {
		name, sent string
		header     string // of the answer; a node's own has the same
		text       string
	}{
		{"version 2", "0200050500000000", "82000500", unsupported("2")},
		{"version 1", "0100000500000000", "81000000", unsupported("1")},
		{"version 6", "060000070500000000", "8500000700", unsupported("6")},
		{"version 127", "7f0000000500000000", "8500000000", unsupported("127")},
		{"version 66, a driver's first try", "420000030100000000", "8500000300", unsupported("66")},
		{"HTTP", "474554202f20485454", "8500542000", unsupported("71")},
		{"half a TLS hello", "16030102000100", "8500010200", unsupported("22")},
		{"one byte of a TLS hello", "16", "8500000000", unsupported("22")},
		{"an answer instead of a request", "840000010500000000", "8500000100", "Wrong protocol direction: the frame's version byte is 0x84"},
		{"a frame that is too long", "0400000107000fffff", "8500000100", "Request is too big: length 1048575 exceeds maximum allowed length 65536"},
		{"a frame of 4 GB", "0400000107ffffffff", "8500000100", "Request is too big: length 4294967295 exceeds maximum allowed length 65536"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNode(t)
			b := start(t, cqlproxy.Config{MaxFrameBytes: 64 << 10, Nodes: []cqlproxy.Node{{Upstream: n.addr()}}})
			conn := connect(t, b.proxy.Addrs()[0], 4).conn
			sent, err := hex.DecodeString(c.sent)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Write(sent); err != nil {
				t.Fatal(err)
			}
			// The connection ends after the answer, without a reset.
			got, err := io.ReadAll(conn)
			if err != nil {
				t.Fatal(err)
			}
			body := append([]byte{0, 0, 0, 0x0A}, byte(len(c.text)>>8), byte(len(c.text)))
			body = append(body, c.text...)
			want, err := hex.DecodeString(c.header)
			if err != nil {
				t.Fatal(err)
			}
			if want[0] > 0x82 {
				want = want[:4]
			} else {
				want = want[:3]
			}
			want = append(want, 0) // ERROR
			want = append(binary.BigEndian.AppendUint32(want, uint32(len(body))), body...)
			if !bytes.Equal(got, want) {
				t.Errorf("the answer is\n%q, want\n%q", got, want)
			}
			b.livesOn()
			reported := b.failed.list()
			if strings.HasPrefix(c.name, "version") { // A driver that looks for a version does nothing wrong.
				if len(reported) > 0 {
					t.Errorf("reported %q", reported)
				}
			} else if len(reported) != 1 || !strings.Contains(reported[0], c.text) {
				t.Errorf("reported %q", reported)
			}
		})
	}
}

func TestAFrameOf256MB(t *testing.T) {
	b, _ := scripted(t)
	conn := connect(t, b.proxy.Addrs()[0], 4).conn
	if _, err := conn.Write([]byte{4, 0, 0, 1, 7, 0x10, 0, 0, 1}); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(conn)
	if err != nil || !bytes.Contains(got, []byte("length 268435457 exceeds maximum allowed length 268435456")) {
		t.Errorf("%q, %v", got, err)
	}
	// One byte less is legal, and costs nothing before its bytes come.
	conn = connect(t, b.proxy.Addrs()[0], 4).conn
	if _, err := conn.Write([]byte{4, 0, 0, 1, 7, 0x10, 0, 0, 0}); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	b.livesOn()
}

func TestDamagedSegments(t *testing.T) {
	for name, damage := range map[string]func([]byte) []byte{
		"header":          func(b []byte) []byte { b[0] ^= 1; return b },
		"payload":         func(b []byte) []byte { b[10] ^= 1; return b },
		"a frame cut":     func([]byte) []byte { return wholeSegment([]byte{5, 0, 0, 1, 7, 0, 0, 0, 9, 1}) },
		"version 2 in it": func([]byte) []byte { return wholeSegment([]byte{2, 0, 1, 5, 0, 0, 0, 0}) },
	} {
		t.Run(name, func(t *testing.T) {
			b, n := scripted(t)
			c := dial(t, b.proxy.Addrs()[0], primitive.ProtocolVersion5, "")
			var kept bytes.Buffer
			whole := c.conn
			c.conn = &writes{whole, &kept}
			if err := c.send(1, query(selected)); err != nil {
				t.Fatal(err)
			}
			c.conn = whole
			if _, err := c.conn.Write(damage(kept.Bytes())); err != nil {
				t.Fatal(err)
			}
			f, err := c.receive()
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := f.Body.Message.(*message.ProtocolError); !ok || n.saw(selected) != 0 {
				t.Errorf("%v", f)
			}
			if _, err := c.receive(); err == nil {
				t.Error("the connection goes on")
			}
			b.livesOn()
		})
	}
}

// writes keeps what is written, and sends nothing.
type writes struct {
	net.Conn
	to io.Writer
}

func (w *writes) Write(b []byte) (int, error) { return w.to.Write(b) }

func TestBodiesThatCannotBeReadAreTheNodes(t *testing.T) {
	b, _ := scripted(t)
	b.rules(on(chaos.What{Kind: chaos.DropReply}))
	c := dial(t, b.proxy.Addrs()[0], primitive.ProtocolVersion4, "lz4")
	// A length that would cost 2 GB, a body that is no lz4, and a body that is cut: the
	// scripted node, which is strict, closes the connection.
	for _, body := range []string{"\x7f\xff\xff\xff\x00", "\x00\x00\x00\x20garbage", ""} {
		raw := append([]byte{4, 1, 0, 1, 7, 0, 0, 0, byte(len(body))}, body...)
		if _, err := c.conn.Write(raw); err != nil {
			t.Fatal(err)
		}
		if _, err := c.receive(); err == nil {
			t.Error("an answer")
		}
		b.livesOn()
		c = dial(t, b.proxy.Addrs()[0], primitive.ProtocolVersion4, "lz4")
	}
}

// tried dials and reads: a reset may be seen by either.
func tried(addr string) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = io.ReadAll(conn)
	return err
}

func TestAnUpstreamThatIsDownAtStartAndLater(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	down := l.Addr().String()
	l.Close()
	n := newNode(t)
	b := start(t, cqlproxy.Config{Nodes: []cqlproxy.Node{{Name: "node1", Upstream: n.addr()}, {Name: "node2", Upstream: down}}})
	if err := tried(b.proxy.Addrs()[1]); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%v: want a reset, as of a node that is down", err)
	}
	soon(t, "it is reported", func() bool {
		reported := b.failed.list()
		return len(reported) == 1 && strings.Contains(reported[0], "cassandra, node2: cannot reach the node: ")
	})
	b.livesOn()
	// A node that goes away takes its connections along, and no others.
	c := dial(t, b.proxy.Addrs()[0], primitive.ProtocolVersion5, "")
	n.mu.Lock()
	for _, w := range n.wires {
		w.conn.Close()
	}
	n.mu.Unlock()
	if f, err := c.receive(); err == nil {
		t.Errorf("an answer: %v", f)
	}
	b.livesOn()
}

func TestAnswersOfANodeThatBreaksTheProtocol(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	b := start(t, cqlproxy.Config{Nodes: []cqlproxy.Node{{Name: "node1", Upstream: l.Addr().String()}}})
	c := connect(t, b.proxy.Addrs()[0], 4)
	up, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer up.Close()
	if _, err := io.WriteString(up, "HTTP/1.1 400 Bad Request\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c.conn); !wasReset(got, err) {
		t.Errorf("%q, %v", got, err)
	}
	if reported := b.failed.list(); len(reported) != 1 || !strings.Contains(reported[0], "the node broke the protocol: Invalid or unsupported protocol version (72)") {
		t.Errorf("reported %q", reported)
	}
}

func TestRequestsAreHeldUntilTheFramingIsAgreed(t *testing.T) {
	b, n := scripted(t)
	release := make(chan struct{})
	n.answer = func(f *frame.Frame) message.Message {
		if f.Header.OpCode == primitive.OpCodeStartup {
			n.mu.Unlock()
			<-release
			n.mu.Lock()
		}
		return nil
	}
	c := connect(t, b.proxy.Addrs()[0], primitive.ProtocolVersion5)
	c.must(&message.Startup{Options: map[string]string{"CQL_VERSION": "3.0.0", "COMPRESSION": "lz4"}})
	// A client that is sure of the answer sends on, in segments already.
	ready := newWire(c.conn, c.version)
	c.agree("lz4")
	c.must(query(selected))
	close(release)
	if f, err := ready.receive(); err != nil || f.Header.OpCode != primitive.OpCodeReady {
		t.Fatal(f, err)
	}
	if f, err := c.receive(); err != nil || number(f.Body.Message) != 1 {
		t.Fatal(f, err)
	}
}

func TestConfigCheck(t *testing.T) {
	err := cqlproxy.Config{DialTimeout: -1, MaxFrameBytes: 5, Nodes: []cqlproxy.Node{{Upstream: "nowhere", Listen: "x", Advertised: "db:9042"}, {Name: "nowhere", Upstream: "127.0.0.1:1"}}}.Check()
	if err == nil {
		t.Fatal("no error")
	}
	want := []string{"Dependency is empty", `Nodes[0].Upstream is "nowhere"`, `Nodes[0].Listen is "x"`, `Nodes[0].Advertised is "db:9042"`, "Nodes[1] has the name of Nodes[0]", "DialTimeout is -1ns", "MaxFrameBytes is 5"}
	for i, line := range strings.Split(err.Error(), "\n") {
		if i >= len(want) || !strings.HasPrefix(line, "cqlproxy: "+want[i]) {
			t.Errorf("line %d is %q", i, line)
		}
	}
	if err := (cqlproxy.Config{Dependency: "d"}).Check(); err == nil || !strings.Contains(err.Error(), "Nodes is empty") {
		t.Error(err)
	}
}
