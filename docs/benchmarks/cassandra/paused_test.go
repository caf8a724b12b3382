package cassandra

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gocql/gocql"

	"github.com/backstay-go/backstay/chaos/cluster"
	"github.com/backstay-go/backstay/chaos/load"
	"github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/internal/testenv"
	"github.com/backstay-go/backstay/resilience"
)

const (
	pause = 10 * time.Second
	// calm is how long the load runs before the pause and after it.
	calm = 6 * time.Second
	// perSecond is the rate of reads of each client.
	perSecond = 100
	// patience is the timeout of both clients.
	patience = 2 * time.Second
)

// BenchmarkPaused writes paused.md. Run it with -benchtime 1x.
func BenchmarkPaused(b *testing.B) {
	cache, err := testenv.CacheDir()
	if err != nil {
		b.Fatal(err)
	}
	nodes, err := cluster.Start(b.Context(), cluster.Config{Nodes: 3, Cache: cache})
	if errors.Is(err, cluster.ErrMissing) {
		testenv.Missing(b, err.Error())
	}
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := nodes.Close(); err != nil {
			b.Error(err)
		}
	}()
	const keyspace = "paused"
	hosts := nodes.Hosts()
	// Coordinators that are well ask another replica soon, or what is measured is how long
	// they wait for the one that is paused, by their own latencies of before.
	schema(b, hosts, "CREATE KEYSPACE "+keyspace+" WITH replication = {'class': 'NetworkTopologyStrategy', 'dc1': 3}",
		fmt.Sprintf(createTable, keyspace)+" WITH speculative_retry = '20ms'")
	plain := bare(b, hosts, port, keyspace, patience)
	defer plain.close()
	prepare(b, plain)
	impatient := hedgedReads(b, hosts, keyspace)
	defer impatient.close()

	rivals := []*client{plain, impatient}
	results := make([]load.Result, len(rivals))
	errs := make([]error, len(rivals))
	var wg sync.WaitGroup
	start := time.Now()
	for i, c := range rivals {
		wg.Go(func() { results[i], errs[i] = reads(b.Context(), c, uint64(i)) })
	}
	after(start, calm)
	if err := nodes.Node(2).Pause(); err != nil {
		b.Fatal(err)
	}
	after(start, calm+pause)
	if err := nodes.Node(2).Resume(); err != nil {
		b.Fatal(err)
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		b.Fatal(err)
	}
	var out strings.Builder
	fmt.Fprintf(&out, `# One of three nodes paused

Made by `+"`go test -run '^$' -bench Paused -benchtime 1x ./cassandra`"+` in docs/benchmarks: %s, %s/%s, %d cores, gocql v1.7.0, Cassandra 5.0.6, three nodes on the same machine, replication 3, reads at LOCAL_QUORUM, speculative_retry of 20 ms. Both clients read %d times a second at the same time, each request at the time that was meant for it, with a timeout of %v; %v into the run one node stops (SIGSTOP) for %v. Latency counts from the time that was meant. backstay hedges a read after %v.

| while the node is paused | reads | errors | p50 ms | p99 ms | slowest ms |
|-|-|-|-|-|-|
`, runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), perSecond, patience, calm, pause, hedgeAfter)
	var p99 [2]time.Duration
	var void strings.Builder
	for i, c := range rivals {
		if why := results[i].Void(); why != "" {
			fmt.Fprintf(&void, "\nThis run proves nothing. %s: %s\n", c.name, why)
		}
		during := slices.DeleteFunc(slices.Clone(results[i].Samples), func(s load.Sample) bool {
			return s.Intended < calm || s.Intended >= calm+pause
		})
		failed := 0
		for _, s := range during {
			if !s.Good {
				failed++
			}
		}
		q := load.Quantiles(during, nil)
		p99[i] = q.P99
		fmt.Fprintf(&out, "| %s | %d | %.2f %% | %.1f | %.0f | %.0f |\n", c.name, q.Count, 100*float64(failed)/float64(q.Count), ms(q.P50), ms(q.P99), ms(q.Max))
	}
	fmt.Fprintf(&out, "\np99, backstay : gocql = %.3f\n", float64(p99[1])/float64(p99[0]))
	out.WriteString(void.String())
	b.ReportMetric(0, "ns/op")
	if err := os.WriteFile("paused.md", []byte(out.String()), 0o644); err != nil {
		b.Fatal(err)
	}
	b.Log("\n" + out.String())
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// after waits until the run is that old.
func after(start time.Time, age time.Duration) { <-time.After(time.Until(start.Add(age))) }

// hedgeAfter is above what a healthy read takes.
const hedgeAfter = 50 * time.Millisecond

// hedgedReads is ours as somebody would set it up whose reads must not wait for one
// node.
func hedgedReads(b *testing.B, hosts []string, keyspace string) *client {
	b.Helper()
	s, err := cassandra.Connect(b.Context(), cassandra.Config{Hosts: hosts, Keyspace: keyspace, LocalDC: "dc1", Profiles: map[string]cassandra.Profile{
		"read": {Consistency: cassandra.LocalQuorum, OperationPolicy: resilience.OperationPolicy{
			Timeout: patience, AttemptTimeout: patience / 2, Idempotent: true, Retry: &resilience.RetryPolicy{},
			Hedge: &resilience.HedgePolicy{Delay: hedgeAfter},
		}},
	}})
	if err != nil {
		b.Fatal(err)
	}
	return &client{name: "backstay",
		close: func() {
			if err := s.Close(); err != nil {
				b.Error(err)
			}
		},
		read: func(id string) (rows int, err error) {
			it := s.Query(readRows, id).Iter()
			var version int
			var data []byte
			for it.Scan(&version, &data) {
				rows++
			}
			return rows, it.Close()
		},
	}
}

// reads plays the load through a client.
func reads(ctx context.Context, c *client, seed uint64) (load.Result, error) {
	schedule, err := load.Schedule([]load.Stage{{For: calm + pause + calm, PerSecond: perSecond}}, seed)
	if err != nil {
		return load.Result{}, err
	}
	run, err := load.New(load.Config{Schedule: schedule})
	if err != nil {
		return load.Result{}, err
	}
	return run.Play(ctx, func(_ context.Context, n int) load.Sample {
		rows, err := c.read(fmt.Sprint("r", n%streams))
		switch {
		case err == nil && rows == 5:
			return load.Sample{Kind: "read", Outcome: "read", Good: true}
		case errors.Is(err, gocql.ErrTimeoutNoResponse), errors.Is(err, context.DeadlineExceeded):
			return load.Sample{Kind: "read", Outcome: "timed out"}
		}
		return load.Sample{Kind: "read", Outcome: "failed"}
	})
}
