//go:build linux

package cluster_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/cluster"
)

const nodesPlan = `
name: a node dies while another stalls
seed: 5
rules:
  - name: kill one
    where: {dependency: cassandra, protocol: node, node: node3}
    when: {from: 20s, to: 60s}
    what: {kind: kill}
  - name: pause another
    where: {dependency: cassandra, protocol: node, node: node2}
    when: {from: 30s, to: 40s}
    what: {kind: pause}
`

// It has no output: it starts real nodes.
func Example() {
	plan, err := chaos.Parse("nodes.yaml", []byte(nodesPlan))
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cfg := cluster.Config{Nodes: 3}
	if err := cfg.CheckPlan(plan, "cassandra"); err != nil {
		log.Fatal(err) // a node that isn't there, or a setting that is left off
	}
	c, err := cluster.Start(ctx, cfg)
	if err != nil {
		log.Fatal(err) // errors.Is(err, cluster.ErrMissing): it says what to install
	}
	defer c.Close()

	injector, err := chaos.New(plan, chaos.Config{})
	if err != nil {
		log.Fatal(err)
	}
	injector.Start()
	harm, end := context.WithTimeout(ctx, plan.End())
	defer end()
	// Your load goes to c.Hosts(), port cluster.Port, meanwhile.
	if err := c.Follow(harm, injector, "cassandra"); err != nil {
		log.Fatal(err)
	}
	if err := c.WaitUp(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println("all nodes are back")
}
