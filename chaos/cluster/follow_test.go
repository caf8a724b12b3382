//go:build linux

package cluster_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/cluster"
)

// sleepers are six nodes that sleep instead of serving.
func sleepers(t *testing.T) *cluster.Cluster {
	t.Helper()
	c, err := cluster.Sleepers(t.TempDir(), 6)
	t.Cleanup(func() {
		for _, n := range c.Nodes() {
			if err := n.Kill(context.Background()); err != nil && !errors.Is(err, cluster.ErrState) {
				t.Error(err)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func paused(c *cluster.Cluster) string {
	var names []string
	for _, n := range c.Nodes() {
		if n.State() == cluster.Paused {
			names = append(names, strings.TrimPrefix(n.Name(), "node"))
		}
	}
	return strings.Join(names, " ")
}

// TestTheSameSeedHarmsTheSameNodes: chance and numbers count nodes in their order,
// whichever of their followers runs first.
func TestTheSameSeedHarmsTheSameNodes(t *testing.T) {
	half := 0.5
	for name, c := range map[string]struct {
		rule chaos.Rule
		want string
	}{
		"all":          {chaos.Rule{}, "1 2 3 4 5 6"},
		"by a pattern": {chaos.Rule{Where: chaos.Where{Node: "*2"}}, "2"},
		"by a chance":  {chaos.Rule{Often: chaos.Often{Probability: &half}}, "4 6"},
		"one of all":   {chaos.Rule{Often: chaos.Often{Count: 1}}, "1"},
		"the third":    {chaos.Rule{When: chaos.When{Nth: 3}}, "3"},
		"all but two":  {chaos.Rule{When: chaos.When{After: 2}}, "3 4 5 6"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for range 3 {
				nodes := sleepers(t)
				c.rule.Name, c.rule.What = "pause some", chaos.What{Kind: chaos.Pause}
				injector, err := chaos.New(chaos.Plan{Seed: 11, Rules: []chaos.Rule{
					// What requests meet is no node's, and takes no number from it.
					{Name: "slow", What: chaos.What{Kind: chaos.Latency, Delay: time.Second}}, c.rule,
				}}, chaos.Config{})
				if err != nil {
					t.Fatal(err)
				}
				injector.Start()
				ctx, end := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- nodes.Follow(ctx, injector, "cassandra") }()
				eventually(t, "the rule is followed", func() bool { return paused(nodes) == c.want })
				if n := injector.Stats().ByRule["slow"]; n != 0 {
					t.Errorf("a rule for requests was chosen for %d nodes", n)
				}
				end()
				if err := <-done; err != nil {
					t.Error(err)
				}
				if left := paused(nodes); left != "" {
					t.Errorf("the nodes %s are still paused", left)
				}
			}
		})
	}
}

// TestWhatCannotBeDoneEndsFollow: the other nodes are given back at once, and not when
// the context ends.
func TestWhatCannotBeDoneEndsFollow(t *testing.T) {
	nodes := sleepers(t)
	if err := nodes.Node(6).Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	injector, err := chaos.New(chaos.Plan{Rules: []chaos.Rule{{Name: "pause all", What: chaos.What{Kind: chaos.Pause}}}}, chaos.Config{})
	if err != nil {
		t.Fatal(err)
	}
	injector.Start()
	err = nodes.Follow(t.Context(), injector, "cassandra")
	if !errors.Is(err, cluster.ErrState) || !strings.Contains(err.Error(), `rule "pause all"`) || !strings.Contains(err.Error(), "pause of node6: it is down") {
		t.Errorf("error is %v", err)
	}
	if left := paused(nodes); left != "" {
		t.Errorf("the nodes %s are still paused", left)
	}
}

// TestAPlanThatIsChangedIsFollowed: rules that come and go while it is followed.
func TestAPlanThatIsChangedIsFollowed(t *testing.T) {
	nodes := sleepers(t)
	injector, err := chaos.New(chaos.Plan{}, chaos.Config{})
	if err != nil {
		t.Fatal(err)
	}
	injector.Start()
	ctx, end := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- nodes.Follow(ctx, injector, "cassandra") }()
	for _, want := range []string{"2", "2 3", "3", "", "1"} {
		var plan chaos.Plan
		for _, n := range slices.Collect(strings.FieldsSeq(want)) {
			plan.Rules = append(plan.Rules, chaos.Rule{Name: n, Where: chaos.Where{Node: "node" + n}, What: chaos.What{Kind: chaos.Pause}})
		}
		if err := injector.Update(plan); err != nil {
			t.Fatal(err)
		}
		eventually(t, "nodes "+want+" are paused", func() bool { return paused(nodes) == want })
	}
	injector.Stop()
	eventually(t, "no node is paused", func() bool { return paused(nodes) == "" })
	end()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
