package cqlproxy_test

import (
	"context"
	"log"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/cqlproxy"
)

// It has no output: it needs a node.
func Example() {
	ctx := context.Background()
	plan, err := chaos.Load("lost.yaml")
	if err != nil {
		log.Fatal(err)
	}
	injector, err := chaos.New(plan, chaos.Config{})
	if err != nil {
		log.Fatal(err)
	}
	proxy, err := cqlproxy.Start(ctx, cqlproxy.Config{Dependency: "cassandra", Injector: injector, Nodes: []cqlproxy.Node{
		{Name: "node1", Listen: "127.1.0.1:9042", Upstream: "10.0.0.1:9042"},
	}})
	if err != nil {
		log.Fatal(err)
	}
	injector.Start()
	defer proxy.Close()
}
