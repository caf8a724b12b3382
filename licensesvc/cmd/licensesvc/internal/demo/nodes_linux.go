package demo

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/cluster"
	"github.com/backstay-go/backstay/chaos/load"
	"github.com/backstay-go/backstay/chaos/report"
	client "github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/licensesvc/app"
	"github.com/backstay-go/backstay/licensesvc/eventstore/cassandra"
	"github.com/backstay-go/backstay/resilience"
)

//go:embed plan-cassandra.yaml
var cassandraPlanText []byte

const keyspace = "licenses"

// Cassandra is the store on three real nodes.
func Cassandra(ctx context.Context, dir string) (_ *Backend, err error) {
	plan, err := chaos.Parse("plan-cassandra.yaml", cassandraPlanText)
	if err != nil {
		return nil, err
	}
	n := &nodes{}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.close())
		}
	}()
	if n.cluster, err = cluster.Start(ctx, cluster.Config{Nodes: 3, Dir: filepath.Join(dir, "nodes")}); err != nil {
		return nil, err
	}
	store, err := n.open(ctx)
	if err != nil {
		return nil, err
	}
	policy := app.StorePolicy()
	for name, op := range policy.Operations {
		// Several nodes and conditional writes take longer than one file.
		op.Timeout = 1200 * time.Millisecond
		if op.AttemptTimeout > 0 {
			op.AttemptTimeout = 900 * time.Millisecond
		}
		policy.Operations[name] = op
	}
	return &Backend{
		Store: store, Name: "three Cassandra nodes", Plan: plan, Policy: &policy,
		Stages: []load.Stage{{For: 82 * time.Second, PerSecond: 30}},
		Begin:  n.begin, Lanes: n.lanes, Check: n.check,
		Close: func(context.Context) error { return n.close() },
	}, nil
}

// nodes is the cluster and the session on it.
type nodes struct {
	cluster *cluster.Cluster
	session *client.Session

	mu    sync.Mutex
	turns []turn
}

// turn is a node that became something.
type turn struct {
	node  string
	state cluster.State
	at    time.Time
}

func (n *nodes) open(ctx context.Context) (*cassandra.Store, error) {
	admin, err := client.Connect(ctx, client.Config{Hosts: n.cluster.Hosts(), Profiles: map[string]client.Profile{
		"schema": {OperationPolicy: resilience.OperationPolicy{Timeout: time.Minute}, Consistency: client.Quorum},
	}})
	if err != nil {
		return nil, err
	}
	err = admin.Query("CREATE KEYSPACE IF NOT EXISTS " + keyspace + " WITH replication = {'class': 'NetworkTopologyStrategy', 'dc1': 3}").WithContext(ctx).Exec()
	if err := errors.Join(err, admin.Close()); err != nil {
		return nil, err
	}
	n.session, err = client.Connect(ctx, client.Config{Hosts: n.cluster.Hosts(), Keyspace: keyspace, LocalDC: "dc1", Profiles: cassandra.Profiles()})
	if err != nil {
		return nil, err
	}
	return cassandra.Open(ctx, cassandra.Config{Session: n.session})
}

// begin follows the plan, and writes down what the nodes became.
func (n *nodes) begin(ctx context.Context, injector *chaos.Injector) error {
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	wg.Go(func() { n.watch(watching) })
	err := n.cluster.Follow(ctx, injector, app.EventStore)
	stop()
	wg.Wait()
	return err
}

func (n *nodes) watch(ctx context.Context) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	last := map[string]cluster.State{}
	for ; ; <-tick.C {
		for _, node := range n.cluster.Nodes() {
			if s := node.State(); last[node.Name()] != s {
				last[node.Name()] = s
				n.mu.Lock()
				n.turns = append(n.turns, turn{node.Name(), s, time.Now()})
				n.mu.Unlock()
			}
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// lanes are the nodes' states over the run.
func (n *nodes) lanes(start time.Time, length time.Duration) []report.Lane {
	n.mu.Lock()
	defer n.mu.Unlock()
	var lanes []report.Lane
	for _, node := range n.cluster.Nodes() {
		lane := report.Lane{Name: node.Name()}
		span := report.Span{State: string(cluster.Running)}
		for _, t := range n.turns {
			if t.node != node.Name() {
				continue
			}
			at := min(max(0, t.at.Sub(start)), length)
			if span.To = at; span.To > span.From {
				lane.Spans = append(lane.Spans, span)
			}
			span = report.Span{State: string(t.state), From: at}
		}
		if span.To = length; span.To > span.From {
			lane.Spans = append(lane.Spans, span)
		}
		lanes = append(lanes, lane)
	}
	return lanes
}

// check waits until every node answers and sees the others.
func (n *nodes) check(ctx context.Context) report.Check {
	c := report.Check{Name: "the nodes came back", Promised: "the killed and the paused node answer again, and all see each other"}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	err := n.cluster.WaitUp(ctx)
	fell := map[string]string{}
	n.mu.Lock()
	for _, t := range n.turns {
		if t.state != cluster.Running {
			fell[t.node] = string(t.state)
		}
	}
	n.mu.Unlock()
	for _, node := range n.cluster.Nodes() {
		if s := fell[node.Name()]; s != "" {
			c.Seen += fmt.Sprintf("%s was %s, and is %s; ", node.Name(), s, node.State())
		}
	}
	if err != nil {
		c.Seen += err.Error()
	} else {
		c.Seen += "all see each other up"
	}
	c.Verdict = verdict(err == nil && len(fell) == 2)
	return c
}

func (n *nodes) close() error {
	var err error
	if n.session != nil {
		err = n.session.Close()
	}
	if n.cluster != nil {
		err = errors.Join(err, n.cluster.Close())
	}
	return err
}
