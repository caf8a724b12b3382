package cqlproxy

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gocql/gocql"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/cqlproxy"
	"github.com/backstay-go/backstay/internal/cassandratest"
)

const (
	// slice is how long one rival works before it is the next one's turn.
	slice   = 250 * time.Millisecond
	turns   = 30
	workers = 32
	payload = 300
	keys    = 2_000
)

// rival is the driver on one way to the nodes.
type rival struct {
	name    string
	session *gocql.Session
	rates   []float64 // requests per second, a turn each
}

func connect(b *testing.B, name string, hosts []string, port int, keyspace string) *rival {
	b.Helper()
	cfg := gocql.NewCluster(hosts...)
	cfg.Port, cfg.Keyspace, cfg.NumConns = port, keyspace, 1
	cfg.Consistency, cfg.Timeout, cfg.ConnectTimeout = gocql.LocalQuorum, 20*time.Second, 20*time.Second
	cfg.PoolConfig.HostSelectionPolicy = gocql.TokenAwareHostPolicy(gocql.RoundRobinHostPolicy())
	session, err := cfg.CreateSession()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(session.Close)
	return &rival{name: name, session: session}
}

// before starts a proxy with a plan of no rules before the nodes.
func before(b *testing.B, hosts []string) (contact []string, port int) {
	b.Helper()
	injector, err := chaos.New(chaos.Plan{}, chaos.Config{})
	if err != nil {
		b.Fatal(err)
	}
	injector.Start()
	b.Cleanup(injector.Stop)
	free, err := net.Listen("tcp", "127.1.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	port = free.Addr().(*net.TCPAddr).Port
	free.Close()
	cfg := cqlproxy.Config{Dependency: "cassandra", Injector: injector, OnError: func(err error) { b.Error(err) }}
	for i, host := range hosts {
		ip := fmt.Sprintf("127.1.0.%d", i+1)
		contact = append(contact, ip)
		cfg.Nodes = append(cfg.Nodes, cqlproxy.Node{Listen: fmt.Sprint(ip, ":", port), Upstream: host + ":9042"})
	}
	proxy, err := cqlproxy.Start(b.Context(), cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := proxy.Close(); err != nil {
			b.Error(err)
		}
	})
	return contact, port
}

// turn lets the rival work with all workers, and notes its rate.
func (r *rival) turn(b *testing.B, work func(s *gocql.Session, n int) error) {
	b.Helper()
	var wg sync.WaitGroup
	var done, failed atomic.Int64
	begin := time.Now()
	for w := range workers {
		wg.Go(func() {
			for i := 0; time.Since(begin) < slice; i++ {
				if err := work(r.session, w*7919+i); err != nil {
					failed.Add(1)
					b.Log(err)
					return
				}
				done.Add(1)
			}
		})
	}
	wg.Wait()
	if failed.Load() > 0 {
		b.Fatalf("%s: %d requests failed", r.name, failed.Load())
	}
	r.rates = append(r.rates, float64(done.Load())/time.Since(begin).Seconds())
}

func median(of []float64) float64 {
	of = slices.Sorted(slices.Values(of))
	return of[len(of)/2]
}

// ratio is the median over the turns of one rival's rate to another's.
func ratio(of, to *rival) float64 {
	each := make([]float64, len(of.rates))
	for i := range each {
		each[i] = of.rates[i] / to.rates[i]
	}
	return median(each)
}

// BenchmarkProxy writes proxy.md. Run it with -benchtime 1x.
func BenchmarkProxy(b *testing.B) {
	hosts, keyspace := cassandratest.Keyspace(b)
	contact, port := before(b, hosts)
	rivals := []*rival{
		connect(b, "without the proxy", hosts, 9042, keyspace),
		connect(b, "through the proxy", contact, port, keyspace),
		connect(b, "without, again", hosts, 9042, keyspace),
	}
	if err := rivals[0].session.Query("CREATE TABLE t (id int PRIMARY KEY, v blob)").Exec(); err != nil {
		b.Fatal(err)
	}
	data := make([]byte, payload)
	var out strings.Builder
	fmt.Fprintf(&out, `# What the CQL proxy costs while no rule is open

Made by `+"`go test -run '^$' -bench Proxy -benchtime 1x ./cqlproxy`"+` in docs/benchmarks: %s, %s/%s, %d cores, gocql v1.7.0, Cassandra 5.0.6, three nodes, proxy and driver on the same machine, replication 3, LOCAL_QUORUM, %d workers, rows of %d bytes. The ways take turns of %v, %d each; ratios are medians over the turns. The last column is a second driver without the proxy in the same run: what chance makes of two equal ways. Bar: at least 0.9.

| | without, requests/s | through : without | without : without |
|-|-|-|-|
`, runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), workers, payload, slice, turns)
	for _, w := range []struct {
		name string
		run  func(s *gocql.Session, n int) error
	}{
		{"insert", func(s *gocql.Session, n int) error {
			return s.Query("INSERT INTO t (id, v) VALUES (?, ?)", n%keys, data).Exec()
		}},
		{"read", func(s *gocql.Session, n int) error {
			var v []byte
			err := s.Query("SELECT v FROM t WHERE id = ?", n%keys).Scan(&v)
			if err == gocql.ErrNotFound {
				return nil
			}
			return err
		}},
	} {
		for range 2 { // what is prepared and connected first is not measured
			for _, r := range rivals {
				r.turn(b, w.run)
			}
		}
		for _, r := range rivals {
			r.rates = nil
		}
		for i := range turns {
			for j := range rivals { // each is first as often
				rivals[(i+j)%len(rivals)].turn(b, w.run)
			}
		}
		fmt.Fprintf(&out, "| %s | %.0f | %.2f | %.2f |\n", w.name, median(rivals[0].rates), ratio(rivals[1], rivals[0]), ratio(rivals[2], rivals[0]))
	}
	b.ReportMetric(0, "ns/op")
	if err := os.WriteFile("proxy.md", []byte(out.String()), 0o644); err != nil {
		b.Fatal(err)
	}
	b.Log("\n" + out.String())
}
