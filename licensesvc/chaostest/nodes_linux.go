package chaostest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/cluster"
	"github.com/backstay-go/backstay/chaos/cqlproxy"
	"github.com/backstay-go/backstay/chaos/report"
	"github.com/backstay-go/backstay/chaos/scenario"
	client "github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/licensesvc/app"
	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/service"
	"github.com/backstay-go/backstay/resilience"
)

// Nodes is a running Cassandra cluster that several systems can use. It is safe for concurrent
// use.
type Nodes struct {
	cluster *cluster.Cluster
	cfg     cluster.Config

	mu    sync.Mutex
	made  bool           // true once the keyspace exists
	slots [maxSlots]bool // blocks of addresses for proxies; true while in use
}

// keyspace holds the stores of all systems; each store has a different name.
const keyspace = "licenses"

// StartNodes starts nodes that can serve each of the scenarios. Their data is in the folder dir,
// and Cassandra's jars are in the folder cache; if cache is empty, the usual cache folder is
// used. The error matches cluster.ErrMissing if the machine lacks something that nodes need. The
// caller must close the nodes.
func StartNodes(ctx context.Context, dir, cache string, scenarios ...scenario.Scenario) (*Nodes, error) {
	cfg := cluster.Config{Nodes: 3, DataCenters: 1}
	for _, s := range scenarios {
		one := topology(s)
		cfg.Nodes, cfg.DataCenters = one.Nodes, one.DataCenters
		cfg.DiskMB, cfg.Namespaces = max(cfg.DiskMB, one.DiskMB), cfg.Namespaces || one.Namespaces
	}
	n := &Nodes{cfg: cfg}
	for _, s := range scenarios {
		if !n.serve(s) {
			return nil, fmt.Errorf("no cluster serves both %s and %s: they want other data centres", s.Name, scenarios[len(scenarios)-1].Name)
		}
	}
	cfg.Dir, cfg.Cache = dir, cache
	var err error
	n.cluster, err = cluster.Start(ctx, cfg)
	return n, err
}

// serve reports whether the nodes have what the scenario needs.
func (n *Nodes) serve(s scenario.Scenario) bool {
	want := topology(s)
	return n.cfg.Nodes == want.Nodes && n.cfg.DataCenters == want.DataCenters && n.cfg.DiskMB >= want.DiskMB && (n.cfg.Namespaces || !want.Namespaces)
}

// Up waits until all nodes answer and see each other.
func (n *Nodes) Up(ctx context.Context) error { return n.cluster.WaitUp(ctx) }

// Close ends the nodes.
func (n *Nodes) Close() error { return n.cluster.Close() }

// cassandra returns the store on real nodes: the target's nodes, or else nodes that it starts.
func (t Target) cassandra(ctx context.Context, setup scenario.Setup, r *recorder) (_ *backend, err error) {
	u := &used{nodes: t.Cassandra, fell: map[string]string{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, u.close())
		}
	}()
	if u.nodes == nil || !u.nodes.serve(setup.Scenario) {
		if u.nodes, err = StartNodes(ctx, filepath.Join(setup.Dir, "nodes"), "", setup.Scenario); err != nil {
			u.nodes = nil
			return nil, err
		}
		u.own = true
	}
	hosts := u.nodes.cluster.Hosts()
	if slices.Contains(setup.Protocols, chaos.CQL) || slices.ContainsFunc(setup.Scenario.Faults, func(r chaos.Rule) bool { return r.Where.Protocol == chaos.CQL }) {
		if hosts, err = u.stand(ctx, setup.Injector); err != nil {
			return nil, err
		}
	}
	if err := u.nodes.makeKeyspace(ctx); err != nil {
		return nil, err
	}
	b := &backend{name: "three Cassandra nodes", nodes: u.states, check: u.check, close: u.close,
		harm: func(ctx context.Context) error { return u.nodes.cluster.Follow(ctx, setup.Injector, app.EventStore) }}
	store := service.Cassandra{Name: fmt.Sprintf("%x", time.Now().UnixNano()),
		Client: client.Config{Hosts: hosts, Keyspace: keyspace, LocalDC: "dc1", Observers: []client.Observer{recordedRequests{r}}}}
	if u.regions() > 1 {
		b.name, store.Remote = "Cassandra nodes in two data centres", "dc2"
	}
	b.opener = opener{b, store, func(s eventstore.GuardedStore) eventstore.GuardedStore { return &recordedStore{s, r} }}
	return b, nil
}

// used is a cluster in use by one system.
type used struct {
	nodes *Nodes
	own   bool
	proxy *cqlproxy.Proxy // nil if no fault acts on the protocol
	slot  int             // the proxy's block of addresses

	mu   sync.Mutex
	fell map[string]string
}

// regions returns the number of data centres.
func (u *used) regions() int { return u.nodes.cfg.DataCenters }

// The proxies' addresses start at 101, with one block of addresses for each system.
const (
	slotSize = 6
	maxSlots = 25
)

// take returns a free block of addresses.
func (n *Nodes) take() (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for slot := range n.slots {
		if !n.slots[slot] {
			n.slots[slot] = true
			return slot, nil
		}
	}
	return 0, fmt.Errorf("%d systems have proxies before these nodes already: end some", maxSlots)
}

func (n *Nodes) free(slot int) {
	n.mu.Lock()
	n.slots[slot] = false
	n.mu.Unlock()
}

// stand puts a proxy in front of each node, and returns the addresses of the proxies.
func (u *used) stand(ctx context.Context, injector *chaos.Injector) ([]string, error) {
	cfg := cqlproxy.Config{Dependency: app.EventStore, Injector: injector}
	slot, err := u.nodes.take()
	if err != nil {
		return nil, err
	}
	var hosts []string
	for _, node := range u.nodes.cluster.Nodes() {
		// A driver that learns the nodes from system tables expects one port for all of them.
		// Each proxy therefore has an address derived from the node's: 127.0.23.101 stands for
		// 127.0.23.1.
		at := net.ParseIP(node.Host()).To4()
		if at == nil || !at.IsLoopback() {
			u.nodes.free(slot)
			return nil, fmt.Errorf("%s is at %s: proxies stand before nodes on loopback only, so not where networks are parted", node.Name(), node.Host())
		}
		at[3] += byte(100 + slot*slotSize)
		hosts = append(hosts, at.String())
		port := strconv.Itoa(cluster.Port)
		cfg.Nodes = append(cfg.Nodes, cqlproxy.Node{Name: node.Name(), Listen: net.JoinHostPort(at.String(), port), Upstream: net.JoinHostPort(node.Host(), port)})
	}
	if u.proxy, err = cqlproxy.Start(ctx, cfg); err != nil {
		u.nodes.free(slot)
		return nil, err
	}
	u.slot = slot
	return hosts, nil
}

// makeKeyspace makes the keyspace if this has not been done yet.
func (n *Nodes) makeKeyspace(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.made {
		return nil
	}
	admin, err := client.Connect(ctx, client.Config{Hosts: n.cluster.Hosts(), Profiles: map[string]client.Profile{
		"schema": {OperationPolicy: resilience.OperationPolicy{Timeout: time.Minute}, Consistency: client.Quorum},
	}})
	if err != nil {
		return err
	}
	replicas := fmt.Sprintf("'dc1': %d", n.cfg.Nodes)
	if n.cfg.DataCenters > 1 {
		replicas += fmt.Sprintf(", 'dc2': %d", n.cfg.Nodes)
	}
	err = admin.Query("CREATE KEYSPACE IF NOT EXISTS " + keyspace + " WITH replication = {'class': 'NetworkTopologyStrategy', " + replicas + "}").WithContext(ctx).Exec()
	err = errors.Join(err, admin.Close())
	n.made = err == nil
	return err
}

// states returns the current states of the nodes. Nodes that have fallen are remembered.
func (u *used) states() []scenario.Dependency {
	u.mu.Lock()
	defer u.mu.Unlock()
	var all []scenario.Dependency
	for _, node := range u.nodes.cluster.Nodes() {
		s := string(node.State())
		// The remaining space of a full disk varies as the node writes and deletes files.
		if _, free, err := node.DiskUsage(); err == nil && u.nodes.cfg.DiskMB > 0 && free < 1<<20 {
			s = "disk-full"
		}
		if s != string(cluster.Running) {
			u.fell[node.Name()] = s
		}
		all = append(all, scenario.Dependency{Name: node.Name(), State: s})
	}
	return all
}

// check waits until every node answers and sees the other nodes.
func (u *used) check(ctx context.Context) report.Check {
	c := report.Check{Name: "the nodes came back", Promised: "nodes that were harmed answer again, and all see each other"}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	err := u.nodes.cluster.WaitUp(ctx)
	u.mu.Lock()
	for _, node := range u.nodes.cluster.Nodes() {
		if s := u.fell[node.Name()]; s != "" {
			c.Seen += fmt.Sprintf("%s was %s, and is %s; ", node.Name(), s, node.State())
		}
	}
	u.mu.Unlock()
	if err != nil {
		c.Seen += err.Error()
	} else {
		c.Seen += "all see each other up"
	}
	c.Verdict = verdict(err == nil)
	return c
}

func (u *used) close() error {
	var err error
	if u.proxy != nil {
		err = u.proxy.Close()
		u.nodes.free(u.slot)
	}
	if u.own && u.nodes != nil {
		err = errors.Join(err, u.nodes.Close())
	}
	return err
}

// Share implements scenario.Sharer. All runs of an enumeration use the same nodes.
func (t Target) Share(ctx context.Context, s scenario.Scenario, dir string) (scenario.Target, func() error, error) {
	if setting(s, SettingStore, "sqlite") != "cassandra" || t.Cassandra != nil && t.Cassandra.serve(s) {
		return t, func() error { return nil }, nil
	}
	nodes, err := StartNodes(ctx, dir, "", s)
	if err != nil {
		return nil, nil, err
	}
	t.Cassandra = nodes
	return t, nodes.Close, nil
}
