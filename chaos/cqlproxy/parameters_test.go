package cqlproxy_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/datastax/go-cassandra-native-protocol/primitive"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/internal/faulttest"
)

// unit is the length of delays here, and of what times are rounded to.
const unit = 100 * time.Millisecond

// watch sends three reads on one connection, and returns what the client and the node see
// of them, with times rounded down.
func watch(t *testing.T, what chaos.What) string {
	b, n := scripted(t)
	c := dial(t, b.proxy.Addrs()[0], primitive.ProtocolVersion4, "")
	b.rules(on(what))
	var log strings.Builder
	answers, began := 0, time.Now()
	for i := range 3 {
		if err := c.send(int16(i), query(selected)); err != nil {
			fmt.Fprintln(&log, "the connection is gone")
			break
		}
		for _, wait := range []time.Duration{unit / 2, 3 * unit} {
			answer, err := c.bytes(wait)
			fmt.Fprintf(&log, "%d: %x; the node has run %d\n", time.Since(began)/unit, answer, n.saw(selected))
			if err == nil {
				answers++
				break
			}
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				fmt.Fprintln(&log, "the connection ends")
				return log.String()
			}
		}
	}
	if what.Kind == chaos.Latency {
		// Draws that are nearer to each other than the times are distinguished by this.
		var drawn time.Duration
		for _, e := range b.reported.list() {
			drawn += e.Delay
		}
		fmt.Fprintf(&log, "delays of %s\n", drawn)
		if took := time.Since(began); answers == 3 && took < drawn {
			t.Errorf("delays of %s were over after %s", drawn, took)
		}
	}
	return log.String()
}

// bytes are those of a frame, or of a part of it that comes in time.
func (c *client) bytes(wait time.Duration) ([]byte, error) {
	if err := c.conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return nil, err
	}
	head := make([]byte, 9)
	n, err := io.ReadFull(c.conn, head)
	if err != nil {
		return head[:n], err
	}
	body := make([]byte, int(head[7])<<8+int(head[8])) // no answer here is longer
	n, err = io.ReadFull(c.conn, body)
	return append(head, body[:n]...), err
}

// TestNoParameterIsIgnored: whatever parameter a kind takes on CQL changes what the client
// or the node sees.
func TestNoParameterIsIgnored(t *testing.T) { faulttest.Differ(t, chaos.CQL, unit, watch) }
