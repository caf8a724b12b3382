package cassandra_test

import (
	"context"
	"errors"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/datastax/go-cassandra-native-protocol/message"
	"github.com/datastax/go-cassandra-native-protocol/primitive"

	"github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/internal/cqltest"
	"github.com/backstay-go/backstay/resilience"
)

// outageProfiles are those of the outages: short attempts, no retries, as a service
// under load has them.
func outageProfiles() map[string]cassandra.Profile {
	return map[string]cassandra.Profile{"read": {OperationPolicy: resilience.OperationPolicy{
		Timeout: 200 * time.Millisecond, AttemptTimeout: 100 * time.Millisecond, Idempotent: true}, Consistency: cassandra.LocalQuorum}}
}

// logged collects log lines.
type logged struct {
	mu    sync.Mutex
	lines []string
}

func (l *logged) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
}

func (l *logged) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.lines, func(line string) bool { return strings.Contains(line, text) })
}

// again is what the session says when it gave up its driver for a new one.
const again = "connected again"

// outageSession is a session with the default guard.
func outageSession(t *testing.T, cluster *cqltest.Cluster, log *logged, change ...func(*cassandra.Config)) *cassandra.Session {
	return scriptedSession(t, cluster, append([]func(*cassandra.Config){func(c *cassandra.Config) {
		c.Guard = resilience.Policy{}
		c.Profiles = outageProfiles()
		c.SilenceLimit = 300 * time.Millisecond
		c.Log = log.add
	}}, change...)...)
}

// load sends reads without pause from a few callers until stopped.
type load struct {
	good, bad, refused atomic.Int64
	stop               context.CancelFunc
	work               sync.WaitGroup
}

func start(t *testing.T, s *cassandra.Session) *load {
	ctx, stop := context.WithCancel(t.Context())
	l := &load{stop: stop}
	for range 8 {
		l.work.Go(func() {
			tick := time.NewTicker(2 * time.Millisecond)
			defer tick.Stop()
			for ctx.Err() == nil {
				switch err := s.Query(selectV, "a").WithContext(ctx).Exec(); {
				case err == nil:
					l.good.Add(1)
				case errors.Is(err, resilience.ErrRefused):
					l.refused.Add(1)
				default:
					l.bad.Add(1)
				}
				select {
				case <-tick.C:
				case <-ctx.Done():
				}
			}
		})
	}
	return l
}

func (l *load) end() {
	l.stop()
	l.work.Wait()
}

// flows waits until more calls succeed.
func (l *load) flows(t *testing.T) {
	t.Helper()
	before := l.good.Load()
	eventually(t, "calls succeed", func() bool { return l.good.Load() > before+20 })
}

// TestOutages lets everything fail in each way, and come back. During the outage
// calls are refused by the breaker; afterwards they succeed, in the same session,
// and with the same driver but where only the contact points lead to the cluster.
func TestOutages(t *testing.T) {
	for _, c := range []struct {
		name    string
		nodes   int
		begin   func(*testing.T, *cqltest.Cluster)
		end     func(*testing.T, *cqltest.Cluster)
		replace bool
	}{
		{"all refuse", 3, func(_ *testing.T, c *cqltest.Cluster) { c.Stop() }, func(t *testing.T, c *cqltest.Cluster) { c.Restart(t) }, false},
		{"all are silent", 3, func(_ *testing.T, c *cqltest.Cluster) { c.Silence(true) }, func(_ *testing.T, c *cqltest.Cluster) { c.Silence(false) }, false},
		{"the only node is silent", 1, func(_ *testing.T, c *cqltest.Cluster) { c.Silence(true) }, func(_ *testing.T, c *cqltest.Cluster) { c.Silence(false) }, false},
		{"the only node comes back under another address", 1, func(_ *testing.T, c *cqltest.Cluster) { c.Stop() }, func(t *testing.T, c *cqltest.Cluster) {
			if err := c.Node(0).Move(); err != nil {
				t.Fatal(err)
			}
			resolve(c.Hosts()...)
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			cluster := cqltest.Start(t, cqltest.Config{Nodes: c.nodes})
			cluster.On(selectV, selects)
			resolve(cluster.Hosts()...)
			log := &logged{}
			s := outageSession(t, cluster, log, func(c *cassandra.Config) { c.Hosts = []string{clusterName} })
			l := start(t, s)
			defer l.end()
			l.flows(t)
			c.begin(t, cluster)
			eventually(t, "the breaker refuses", func() bool { return l.refused.Load() > 20 })
			if !c.replace {
				eventually(t, "connections were given up", func() bool {
					for _, n := range s.Nodes() {
						if n.Connections > 0 {
							return false
						}
					}
					return true
				})
			}
			c.end(t, cluster)
			l.flows(t)
			eventually(t, "the breaker closes", func() bool { return s.Guard().Snapshot().Breaker == resilience.BreakerClosed })
			if log.has(again) != c.replace {
				t.Errorf("the driver was replaced: %v, want %v; log:\n%s", !c.replace, c.replace, strings.Join(log.lines, "\n"))
			}
		})
	}
}

// TestOneNodeComesBackUnderAnotherAddress: the cluster's own news of it is enough.
func TestOneNodeComesBackUnderAnotherAddress(t *testing.T) {
	cluster := cqltest.Start(t, cqltest.Config{Nodes: 3})
	cluster.On(selectV, selects)
	log := &logged{}
	s := outageSession(t, cluster, log)
	l := start(t, s)
	defer l.end()
	l.flows(t)
	node := cluster.Node(2)
	old := node.Address()
	node.Stop()
	l.flows(t)
	if err := node.Move(); err != nil {
		t.Fatal(err)
	}
	news := &message.TopologyChangeEvent{ChangeType: primitive.TopologyChangeTypeNewNode, Address: &primitive.Inet{Addr: net.ParseIP(node.Host()).To4(), Port: int32(cluster.Port())}}
	eventually(t, "somebody listens", func() bool { return cluster.Announce(news) > 0 })
	before := node.Requests()
	eventually(t, "the node is asked", func() bool { return node.Requests() > before+20 })
	for _, n := range s.Nodes() {
		if n.Address == old {
			t.Errorf("the old address is still there: %+v", n)
		}
	}
	if log.has(again) {
		t.Error("the driver was replaced for the sake of one node")
	}
}

// TestDNSGone: names matter only for finding the cluster.
func TestDNSGone(t *testing.T) {
	cluster := cqltest.Start(t, cqltest.Config{Nodes: 3})
	cluster.On(selectV, selects)
	resolve(cluster.Hosts()...)
	s := outageSession(t, cluster, &logged{}, func(c *cassandra.Config) { c.Hosts = []string{clusterName} })
	l := start(t, s)
	defer l.end()
	l.flows(t)
	resolve()
	cluster.Stop()
	eventually(t, "the breaker refuses", func() bool { return l.refused.Load() > 20 })
	cluster.Restart(t)
	l.flows(t)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := cassandra.Connect(ctx, cassandra.Config{Hosts: []string{clusterName}, Port: cluster.Port(), Profiles: outageProfiles()})
	if !errors.Is(err, cassandra.ErrUnavailable) || !strings.Contains(err.Error(), clusterName) {
		t.Errorf("connecting without DNS: %v", err)
	}
}

// TestOutagesLeaveNothingBehind compares goroutines and memory after ten outages
// with those before the first.
func TestOutagesLeaveNothingBehind(t *testing.T) {
	cluster := cqltest.Start(t, cqltest.Config{Nodes: 3})
	cluster.On(selectV, selects)
	s := outageSession(t, cluster, &logged{}, func(c *cassandra.Config) {
		c.Guard = cassandra.DefaultGuard()
		c.Guard.Breaker = &resilience.BreakerPolicy{Window: 200 * time.Millisecond, MinimumCalls: 10, OpenFor: 20 * time.Millisecond, MaxOpenFor: 40 * time.Millisecond}
	})
	outage := func(silent bool) {
		l := start(t, s)
		defer l.end()
		l.flows(t)
		if silent {
			cluster.Silence(true)
		} else {
			cluster.Stop()
		}
		eventually(t, "the breaker refuses", func() bool { return l.refused.Load() > 20 })
		if silent {
			cluster.Silence(false)
		} else {
			cluster.Restart(t)
		}
		l.flows(t)
	}
	settled := func() (goroutines int, heap uint64) {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return runtime.NumGoroutine(), m.HeapAlloc
	}
	outage(true)
	eventually(t, "nobody waits", func() bool { return waiting(s) == 0 })
	goroutines, heap := settled()
	for i := range 10 {
		outage(i%2 == 0)
	}
	const slack = 4 << 20 // of counters and caches; ten leaked outages would be more
	var after int
	var held uint64
	eventually(t, "goroutines and memory are back", func() bool {
		cluster.Forget()
		after, held = settled()
		return after <= goroutines+5 && held <= heap+slack
	})
	t.Logf("goroutines %d, then %d; heap %d KB, then %d KB", goroutines, after, heap>>10, held>>10)
}

// waiting is the number of requests in flight that are no orphans.
func waiting(s *cassandra.Session) (n int) {
	for _, node := range s.Nodes() {
		n += node.InFlight - node.Orphans
	}
	return n
}

// TestCloseIsBounded: whatever the nodes do, or code of others, Close returns, and nothing is
// left once that code has returned. The test's main looks for goroutines.
func TestCloseIsBounded(t *testing.T) {
	connect := func(t *testing.T, cluster *cqltest.Cluster, change func(*cassandra.Config)) *cassandra.Session {
		t.Helper()
		cfg := cassandra.Config{Hosts: cluster.Hosts(), Port: cluster.Port(), Keyspace: "ks", LocalDC: "dc1", Profiles: scriptedProfiles(), DefaultProfile: "read"}
		if change != nil {
			change(&cfg)
		}
		s, err := cassandra.Connect(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	within := func(t *testing.T, bound time.Duration, s *cassandra.Session) {
		t.Helper()
		start := time.Now()
		if err := s.Close(); err != nil || time.Since(start) > bound {
			t.Errorf("Close returned %v after %v", err, time.Since(start))
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Errorf("what is left: %v", err)
		}
		if took := time.Since(start); took > bound {
			t.Errorf("its goroutines ended after %v", took)
		}
	}
	const bound = 4 * time.Second // the driver's own waits are 10 s and more
	for name, harm := range map[string]func(*cqltest.Cluster){
		"nodes that answer":   func(*cqltest.Cluster) {},
		"silent nodes":        func(c *cqltest.Cluster) { c.Silence(true) },
		"nodes that are down": (*cqltest.Cluster).Stop,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := cqltest.Start(t, cqltest.Config{Nodes: 3})
			s := connect(t, cluster, nil)
			harm(cluster)
			// The driver's heartbeat begins after a second, and is under way then.
			beat := time.NewTimer(1500 * time.Millisecond)
			defer beat.Stop()
			<-beat.C
			within(t, bound, s)
		})
	}
	t.Run("credentials that hang", func(t *testing.T) {
		t.Parallel()
		cluster := cqltest.Start(t, cqltest.Config{})
		cluster.Login("me", "secret")
		var hangs atomic.Bool
		asked, release := make(chan struct{}, 100), make(chan struct{})
		s := connect(t, cluster, func(c *cassandra.Config) {
			c.Credentials = func(context.Context) (string, cassandra.Secret, error) {
				if hangs.Load() {
					asked <- struct{}{}
					<-release
				}
				return "me", "secret", nil
			}
		})
		hangs.Store(true)
		cluster.Stop()
		cluster.Restart(t)
		<-asked
		start := time.Now()
		if err := s.Close(); err != nil || time.Since(start) > bound {
			t.Errorf("Close returned %v after %v", err, time.Since(start))
		}
		close(release)
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
