//go:build linux

package cluster_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/cluster"
	"github.com/backstay-go/backstay/internal/testenv"
)

// TestACutLastsAsLongAsSomebodyWantsIt looks at the routes of networks without nodes: what
// a rule cut it passes again, unless another rule or a hand wants it too.
func TestACutLastsAsLongAsSomebodyWantsIt(t *testing.T) {
	block, err := cluster.Lease(cluster.Config{Namespaces: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := block.Release(); err != nil {
			t.Error(err)
		}
	})
	c, err := cluster.Parted(block, 3)
	if errors.Is(err, cluster.ErrMissing) {
		testenv.Missing(t, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	all := c.Nodes()
	var restores []func() error
	by := func(n int, what chaos.What) func() error {
		return func() error {
			restore, err := c.ByRule(all[n-1], what)
			restores = append(restores, restore)
			return err
		}
	}
	restore := func(n int) func() error { return func() error { return restores[n]() } }
	for _, step := range []struct {
		name string
		do   func() error
		want string // what each node drops of what it sends
	}{
		{"a pair by a rule", by(1, chaos.What{Peers: []string{"node2"}}), ".2; .1; "},
		{"one way by a rule of the other", by(2, chaos.What{Peers: []string{"*"}, OneWay: true}), ".2; .1 .3; "},
		{"the first ends", restore(0), "; .1 .3; "},
		{"the same by hand", func() error { return c.Cut(all[1], all[0]) }, "; .1 .3; "},
		{"the second ends", restore(1), "; .1; "},
		{"all from clients, and one from all", by(3, chaos.What{Peers: []string{"*", "clients"}}), ".3; .1 .3; .1 .2 .254 deaf"},
		{"clients by hand", func() error { return c.CutClients(all[2]) }, ".3; .1 .3; .1 .2 .254 deaf"},
		{"the third ends", restore(2), "; .1; .254 deaf"},
		{"healed", c.Heal, "; ; "},
		{"a rule that ends after that", restore(2), "; ; "},
		{"and again", by(1, chaos.What{Peers: []string{"clients"}, OneWay: true}), ".254; ; "},
		{"healed", c.Heal, "; ; "},
		{"healed twice", c.Heal, "; ; "},
		{"a node is not cut from itself", func() error { return c.Partition(all, all[:1]) }, ".2 .3; .1; .1"},
	} {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		var drops []string
		for _, n := range all {
			d, err := c.Dropped(n)
			if err != nil {
				t.Fatal(err)
			}
			drops = append(drops, strings.TrimSpace(d))
		}
		if got := strings.Join(drops, "; "); got != step.want {
			t.Errorf("%s: dropped %q, want %q", step.name, got, step.want)
		}
	}
}
