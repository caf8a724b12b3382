//go:build linux

package cluster_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/backstay-go/backstay/chaos/cluster"
)

func TestZZ(t *testing.T) {
	c := start(t, cluster.Config{DiskMB: 256})
	n := c.Node(1)
	s := session(t, c, "", "")
	for _, q := range []string{"CREATE KEYSPACE k WITH replication = {'class': 'NetworkTopologyStrategy', 'dc1': 1}", "CREATE TABLE k.t (id int PRIMARY KEY, data blob)"} {
		if err := s.Query(q).Exec(); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	if err := n.FillDisk(0); err != nil {
		t.Fatal(err)
	}
	t.Log("filled in", time.Since(began))
	last := ""
	for i := 0; time.Since(began) < 25*time.Second; i++ {
		err := s.Query("INSERT INTO k.t (id, data) VALUES (?, ?)", i, make([]byte, 1000)).Exec()
		now := string(n.State()) + " ok"
		if err != nil {
			now = string(n.State()) + " " + err.Error()
		}
		if now != last {
			_, free, _ := n.DiskUsage()
			t.Log(time.Since(began), i, free, now)
			last = now
		}
		<-time.After(10 * time.Millisecond)
		if i == 1000000 {
			break
		}
	}
	if err := n.FreeDisk(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		err := s.Query("INSERT INTO k.t (id, data) VALUES (?, ?)", 1, make([]byte, 1000)).Exec()
		now := string(n.State()) + " ok"
		if err != nil {
			now = string(n.State()) + " " + err.Error()
		}
		if now != last {
			t.Log(time.Since(began), now)
			last = now
		}
		<-time.After(50 * time.Millisecond)
	}
	b, _ := os.ReadFile(n.LogFile())
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "ERROR") || strings.HasPrefix(line, "WARN") || strings.Contains(line, "Exception") || strings.Contains(line, "Stopping") || strings.Contains(line, "SIGBUS") {
			t.Log(line)
		}
	}
	t.Log(string(b[max(0, len(b)-3000):]))
}
