//go:build linux

package cluster_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/backstay-go/backstay/chaos/cluster"
)

// reach waits until what each node sends to each other one arrives, or does not, as
// wanted.
func reach(t *testing.T, c *cluster.Cluster, want func(from, to *cluster.Node) bool) {
	t.Helper()
	last := ""
	defer func() {
		if t.Failed() {
			t.Log(last)
		}
	}()
	eventually(t, "what nodes send each other arrives where it should, and nowhere else", func() bool {
		for _, from := range c.Nodes() {
			for _, to := range c.Nodes() {
				if from != to && arrives(t, from, to, want(from, to)) != want(from, to) {
					last = fmt.Sprintf("from %s to %s: want %t", from.Name(), to.Name(), want(from, to))
					return false
				}
			}
		}
		return true
	})
}

// arrives sends a datagram from a node to another, to a port that nobody listens on: the
// receiver's kernel counts it. What this machine sends after it shows that what does not
// come was lost, and is not under way.
func arrives(t *testing.T, from, to *cluster.Node, wanted bool) bool {
	t.Helper()
	before := received(t, to)
	cmd := exec.CommandContext(t.Context(), "nsenter", "-t", strconv.Itoa(from.Pid()), "-n", "bash", "-c", "echo x >/dev/udp/"+to.Host()+"/9")
	_ = cmd.Run() // To send where the way is cut is an error.
	if knock(t, to); !wanted {
		within(t, time.Second, func() bool { return received(t, to) > before })
		return received(t, to) > before+1
	}
	return within(t, time.Second, func() bool { return received(t, to) > before+1 })
}

// hears says whether what this machine sends to a node arrives.
func hears(t *testing.T, n *cluster.Node) bool {
	t.Helper()
	before := received(t, n)
	knock(t, n)
	return within(t, 100*time.Millisecond, func() bool { return received(t, n) > before })
}

// knock sends a datagram from this machine.
func knock(t *testing.T, to *cluster.Node) {
	t.Helper()
	conn, err := net.Dial("udp", net.JoinHostPort(to.Host(), "9"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
}

// received is how many datagrams came to a node's network for ports that nobody listens
// on.
func received(t *testing.T, n *cluster.Node) int {
	t.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(n.Pid()) + "/net/snmp")
	if err != nil {
		t.Fatal(err)
	}
	var in, ports int
	for line := range strings.Lines(string(b)) {
		if _, err := fmt.Sscanf(line, "Udp: %d %d", &in, &ports); err == nil {
			return ports
		}
	}
	t.Fatalf("no count of datagrams in\n%s", b)
	return 0
}

// within waits for a condition, for a while that has no say in what is true.
func within(t *testing.T, bound time.Duration, holds func() bool) bool {
	end := time.Now().Add(bound)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		if time.Now().After(end) {
			return false
		}
		select {
		case <-t.Context().Done():
			return false
		case <-tick.C:
		}
	}
	return true
}
