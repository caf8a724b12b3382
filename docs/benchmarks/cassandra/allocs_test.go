package cassandra

import (
	"math"
	"testing"
	"time"

	"github.com/backstay-go/backstay/internal/cqltest"
)

// TestAllocations bounds what a guarded request allocates more than gocql alone, on a
// scripted cluster in this process. What the cluster allocates is the same for both.
func TestAllocations(t *testing.T) {
	cluster := cqltest.Start(t, cqltest.Config{Keyspaces: map[string]int{"ks": 1}})
	row := []any{1, []byte("data")}
	cluster.On(insertRow, cqltest.Statement{Params: cqltest.Columns("id text, version int, data blob"), Answer: (*cqltest.Request).Void})
	cluster.On(readRows, cqltest.Statement{Columns: cqltest.Columns("version int, data blob"), Answer: func(r *cqltest.Request) {
		r.Rows(row, row, row, row, row)
	}})
	cluster.On(moveHead, cqltest.Statement{Params: cqltest.Columns("head int, id text, head int"), Key: []uint16{1}, Answer: (*cqltest.Request).Applied})
	plain := bare(t, cluster.Hosts(), cluster.Port(), "ks", 10*time.Second)
	defer plain.close()
	ours := guarded(t, cluster.Hosts(), cluster.Port(), "ks", 10*time.Second)
	defer ours.close()
	data := make([]byte, 40)
	for _, c := range []struct {
		name string
		more float64
		run  func(*client) error
	}{
		{"insert", 3, func(c *client) error { return c.insert("id", firstHead, data) }},
		{"read of 5 rows", 3, func(c *client) error { _, err := c.read("id"); return err }},
		{"conditional batch", 3, func(c *client) error { _, err := c.append("id", firstHead+1, data); return err }},
	} {
		t.Run(c.name, func(t *testing.T) {
			theirs, own := leastAllocations(t, plain, c.run), leastAllocations(t, ours, c.run)
			t.Logf("gocql %v, backstay %v", theirs, own)
			if own-theirs > c.more {
				t.Errorf("%v allocations more than gocql; want at most %v", own-theirs, c.more)
			}
		})
	}
}

// leastAllocations is the least of several runs, because what else goes on in the process
// only adds to it.
func leastAllocations(t testing.TB, c *client, run func(*client) error) float64 {
	t.Helper()
	least := math.Inf(1)
	for range 5 {
		least = min(least, testing.AllocsPerRun(100, func() {
			if err := run(c); err != nil {
				t.Fatal(err)
			}
		}))
	}
	return least
}
