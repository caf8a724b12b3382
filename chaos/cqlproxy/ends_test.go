package cqlproxy_test

import (
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/datastax/go-cassandra-native-protocol/frame"
	"github.com/datastax/go-cassandra-native-protocol/primitive"

	"github.com/backstay-go/backstay/chaos"
)

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
