package cassandra

import (
	"context"
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gocql/gocql"

	"github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/internal/cqltest"
	"github.com/backstay-go/backstay/resilience"
)

var silence = flag.Duration("silence", 30*time.Second, "how long the cluster of the outage says nothing")

const (
	outageTimeout  = time.Second
	outageBefore   = 4 * time.Second
	outageStep     = 100 * time.Millisecond
	outageSelect   = "SELECT v FROM t WHERE id = ?"
	outageRecovers = 0.95
)

// BenchmarkOutage lets clusters be silent under an open load, and measures when goodput is
// back: the first moment from which a whole second has at least 95 % of it. One load
// is what a service may have; the other is enough to use up the 32,768 streams of a
// connection in the time. Both clients run at once, each on a separate cluster. It
// writes outage.md, unless the machine was too busy to carry the load before.
func BenchmarkOutage(b *testing.B) {
	loads := []struct {
		nodes, rate int
		after       time.Duration
	}{{3, 500, 10 * time.Second}, {1, 1200, 35 * time.Second}}
	rivals := []struct {
		name string
		open func(*cqltest.Cluster) (run func(context.Context) error, close func())
	}{{"gocql", readsThroughGocql}, {"backstay", readsThroughBackstay}}
	results := make([]outage, len(loads)*len(rivals))
	for l, load := range loads {
		var work sync.WaitGroup
		for r, rival := range rivals {
			cluster := cqltest.Start(b, cqltest.Config{Nodes: load.nodes})
			cluster.On(outageSelect, cqltest.Statement{Columns: cqltest.Columns("v text"), Answer: func(r *cqltest.Request) { r.Rows([]any{"x"}) }})
			work.Go(func() {
				run, end := rival.open(cluster)
				defer end()
				results[l*len(rivals)+r] = observe(b.Context(), cluster, run, load.rate, load.after)
			})
		}
		work.Wait()
	}
	var page strings.Builder
	fmt.Fprintf(&page, "# After a silent outage\n\nMade by `go test -run '^$' -bench Outage -benchtime 1x ./cassandra` in docs/benchmarks: %s, %s/%s, %d cores, gocql v1.7.0, "+
		"scripted nodes on the same machine. The nodes read and say nothing for %v under an open load, and then answer again. Every request has a timeout of %v. "+
		"Back means: from then on a whole second has 95 %% of the goodput that was before. Both clients run at once, each on a separate cluster, with one connection per node.\n\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), *silence, outageTimeout)
	page.WriteString("| nodes | requests/s | client | back after | frames that silent nodes got | a failing call took, median |\n|-|-|-|-|-|-|\n")
	for i, o := range results {
		load, rival := loads[i/len(rivals)], rivals[i%len(rivals)]
		back := fmt.Sprintf("%.1f s", o.back.Seconds())
		if o.back < 0 {
			back = fmt.Sprintf("not within %v", load.after)
		}
		b.Logf("%s at %d/s, answered a second: %v", rival.name, load.rate, o.timeline)
		fmt.Fprintf(&page, "| %d | %d | %s | %s | %d | %.1f ms |\n", load.nodes, load.rate, rival.name, back, o.reached, o.failing.Seconds()*1000)
	}
	b.Log("\n" + page.String())
	for i, o := range results {
		if o.before < outageRecovers {
			b.Fatalf("void: before the outage %s had %.0f %% of its requests answered; the machine is too busy", rivals[i%len(rivals)].name, 100*o.before)
		}
	}
	if err := os.WriteFile("outage.md", []byte(page.String()), 0o644); err != nil {
		b.Fatal(err)
	}
}

func readsThroughGocql(c *cqltest.Cluster) (func(context.Context) error, func()) {
	cfg := gocql.NewCluster(c.Hosts()...)
	cfg.Port, cfg.Keyspace, cfg.Consistency, cfg.Timeout, cfg.NumConns = c.Port(), "ks", gocql.LocalQuorum, outageTimeout, 1
	cfg.PoolConfig.HostSelectionPolicy = gocql.TokenAwareHostPolicy(gocql.DCAwareRoundRobinPolicy("dc1"), gocql.ShuffleReplicas())
	s, err := cfg.CreateSession()
	if err != nil {
		return func(context.Context) error { return err }, func() {}
	}
	return func(ctx context.Context) error {
		var v string
		return s.Query(outageSelect, "a").WithContext(ctx).Scan(&v)
	}, s.Close
}

func readsThroughBackstay(c *cqltest.Cluster) (func(context.Context) error, func()) {
	s, err := cassandra.Connect(context.Background(), cassandra.Config{Hosts: c.Hosts(), Port: c.Port(), Keyspace: "ks", LocalDC: "dc1",
		Profiles: map[string]cassandra.Profile{"read": {Consistency: cassandra.LocalQuorum, OperationPolicy: resilience.OperationPolicy{
			Timeout: outageTimeout, Idempotent: true}}}})
	if err != nil {
		return func(context.Context) error { return err }, func() {}
	}
	return func(ctx context.Context) error {
		var v string
		return s.Query(outageSelect, "a").WithContext(ctx).Scan(&v)
	}, func() { _ = s.Close() } // what it says no longer matters
}

// outage is what became of the requests.
type outage struct {
	back    time.Duration // after the end; negative: never
	before  float64       // the share that was answered before the outage
	reached int           // silent nodes, frames of any kind
	failing time.Duration
	// timeline is the percentage that was answered of each second's requests.
	timeline []int
}

// call is one request, by the time when it was due.
type call struct {
	due, took time.Duration
	ok        bool
}

// observe runs the load through the outage.
func observe(ctx context.Context, cluster *cqltest.Cluster, run func(context.Context) error, rate int, after time.Duration) outage {
	whole := outageBefore + *silence + after
	calls := make([]call, int(whole/time.Second)*rate)
	start := time.Now()
	begin := time.AfterFunc(outageBefore, func() { cluster.Silence(true) })
	defer begin.Stop()
	end := time.AfterFunc(outageBefore+*silence, func() { cluster.Silence(false) })
	defer end.Stop()
	var work sync.WaitGroup
	sent := 0
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for sent < len(calls) && ctx.Err() == nil {
		<-tick.C
		for ; sent < len(calls); sent++ {
			due := time.Duration(sent) * time.Second / time.Duration(rate)
			if due > time.Since(start) {
				break
			}
			c := &calls[sent]
			c.due = due
			work.Go(func() {
				ctx, cancel := context.WithTimeout(ctx, outageTimeout)
				defer cancel()
				err := run(ctx)
				c.ok, c.took = err == nil, time.Since(start)-due
			})
		}
	}
	work.Wait()
	healthy := outageBefore + *silence
	o := outage{back: -1, before: share(calls, time.Second, outageBefore)}
	for _, n := range cluster.Nodes() {
		o.reached += n.Swallowed()
	}
	for at := healthy; at+time.Second <= whole; at += outageStep {
		if share(calls, at, at+time.Second) >= outageRecovers*o.before {
			o.back = at - healthy
			break
		}
	}
	for at := time.Duration(0); at < whole; at += time.Second {
		o.timeline = append(o.timeline, int(100*share(calls, at, at+time.Second)))
	}
	var failing []time.Duration
	for _, c := range calls[:sent] {
		if !c.ok && c.due >= outageBefore && c.due < healthy {
			failing = append(failing, c.took)
		}
	}
	if slices.Sort(failing); len(failing) > 0 {
		o.failing = failing[len(failing)/2]
	}
	return o
}

// share is how many of the calls that were due in a time were answered.
func share(calls []call, from, to time.Duration) float64 {
	due, ok := 0, 0
	for _, c := range calls {
		if c.due >= from && c.due < to {
			due++
			if c.ok {
				ok++
			}
		}
	}
	return float64(ok) / float64(max(1, due))
}
