//go:build linux

package cluster

import (
	"bytes"
	"io"
	"os"
	"regexp"
	"sync"
)

// gossip is what a node has logged about the other nodes. It reads only the part of the log
// that is new, because callers that wait for a node ask often.
type gossip struct {
	mu   sync.Mutex
	at   int64 // of the log: up to here it was read
	last map[string]sight
}

// sight is the last line that a node logged about another one.
type sight struct {
	up   bool
	line string
}

// sighted matches the lines in which Cassandra says that it considers another node up or down.
var sighted = regexp.MustCompile(`InetAddress \S*?/?([0-9.]+):[0-9]+ is now (UP|DOWN)`)

// begin forgets everything: a new process logs from this position on.
func (g *gossip) begin(at int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.at, g.last = at, make(map[string]sight)
}

// of returns what was last logged about a host.
func (g *gossip) of(host, file string) sight {
	g.mu.Lock()
	defer g.mu.Unlock()
	if f, err := os.Open(file); err == nil {
		defer f.Close()
		// What can't be read now is read at the next call.
		text, _ := io.ReadAll(io.NewSectionReader(f, g.at, 1<<62))
		text = text[:bytes.LastIndexByte(text, '\n')+1]
		for _, m := range sighted.FindAllSubmatch(text, -1) {
			g.last[string(m[1])] = sight{up: string(m[2]) == "UP", line: string(m[0])}
		}
		g.at += int64(len(text))
	}
	return g.last[host]
}

// Sees reports whether the node considers another one up, according to its log.
func (n *Node) Sees(other *Node) bool { return n.lastOf(other).up }

func (n *Node) lastOf(other *Node) sight { return n.heard.of(other.host, n.LogFile()) }
