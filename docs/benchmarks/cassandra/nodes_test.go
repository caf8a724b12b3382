package cassandra

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backstay-go/backstay/internal/cassandratest"
)

const (
	// slice is how long one client works before it is the other's turn. Both meet the
	// same state of the nodes and the machine.
	slice = 200 * time.Millisecond
	// turns of each client for each row of the table, and how many make a block, over which
	// a p99 is taken.
	turns, block = 50, 5
	// payload of a row, in bytes.
	payload = 300
	streams = 512
)

// work is one kind of request.
type work struct {
	name string
	run  func(c *client, worker int) error
}

// heads are the versions of the streams that workers append to.
type heads struct{ at [64]atomic.Int64 }

func works() []work {
	data := make([]byte, payload)
	var n atomic.Int64
	var h heads
	return []work{
		{"insert", func(c *client, _ int) error {
			i := n.Add(1)
			return c.insert(fmt.Sprint("s", i%streams), int(i/streams%5), data)
		}},
		{"read of 5 rows", func(c *client, _ int) error {
			rows, err := c.read(fmt.Sprint("r", n.Add(1)%streams))
			if err == nil && rows != 5 {
				err = fmt.Errorf("%d rows, want 5", rows)
			}
			return err
		}},
		{"conditional batch", func(c *client, worker int) error {
			head := firstHead - 1 + int(h.at[worker].Add(1))
			applied, err := c.append(fmt.Sprint("w", worker), head, data)
			if err == nil && !applied {
				err = fmt.Errorf("head %d of worker %d was not applied", head, worker)
			}
			return err
		}},
	}
}

// BenchmarkNodes writes nodes.md. Run it with -benchtime 1x.
func BenchmarkNodes(b *testing.B) {
	hosts, keyspace := cassandratest.Keyspace(b)
	schema(b, hosts, fmt.Sprintf(createTable, keyspace))
	// The second bare client shows what two equal clients differ by.
	rivals := []*client{bare(b, hosts, port, keyspace, 10*time.Second), nil, nil}
	prepare(b, rivals[0])
	rivals[1], rivals[2] = guarded(b, hosts, port, keyspace, 10*time.Second), bare(b, hosts, port, keyspace, 10*time.Second)
	rivals[2].name = "gocql again"
	for _, c := range rivals {
		defer c.close()
	}
	var out strings.Builder
	fmt.Fprintf(&out, `# What a guarded request costs

Made by `+"`go test -run '^$' -bench Nodes -benchtime 1x ./cassandra`"+` in docs/benchmarks: %s, %s/%s, %d cores, gocql v1.7.0, Cassandra 5.0.6, three nodes on the same machine, replication 3, LOCAL_QUORUM and LOCAL_SERIAL. The clients take turns of %v, %d each; a throughput of "backstay : gocql" is the median over the turns, a p99 the median over blocks of %d turns, each with the p99 of that block. The column "gocql : gocql" is a second bare client in the same run: what chance makes of two equal clients.

| | workers | gocql, requests/s | backstay : gocql, throughput | gocql : gocql | gocql, p99 ms | backstay : gocql, p99 | gocql : gocql |
|-|-|-|-|-|-|-|-|
`, runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), slice, turns, block)
	for _, w := range works() {
		for _, workers := range []int{1, 32} {
			m := compare(b, rivals, w, workers)
			fmt.Fprintf(&out, "| %s | %d | %.0f | %.2f | %.2f | %.1f | %.2f | %.2f |\n", w.name, workers,
				m[0].rate(), ratio(m[1], m[0]), ratio(m[2], m[0]), median(m[0].p99s()), p99(m[1], m[0]), p99(m[2], m[0]))
		}
	}
	out.WriteString("\n## Allocations a request, driver included\n| | gocql | backstay | more |\n|-|-|-|-|\n")
	for _, w := range works() {
		var n [2]float64
		for i, c := range rivals[:2] {
			n[i] = leastAllocations(b, c, func(c *client) error { return w.run(c, 40) })
		}
		fmt.Fprintf(&out, "| %s | %.0f | %.0f | %.0f |\n", w.name, n[0], n[1], n[1]-n[0])
	}
	b.ReportMetric(0, "ns/op")
	if err := os.WriteFile("nodes.md", []byte(out.String()), 0o644); err != nil {
		b.Fatal(err)
	}
	b.Log("\n" + out.String())
}

// prepare writes the rows that are read.
func prepare(b *testing.B, c *client) {
	b.Helper()
	data := make([]byte, payload)
	for s := range streams {
		for v := range 5 {
			if err := c.insert(fmt.Sprint("r", s), v, data); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// measured is what one client did of one kind of work, a turn each.
type measured struct {
	rates []float64 // requests per second
	took  [][]time.Duration
}

func (m *measured) rate() float64 { return median(m.rates) }

// p99s are the 99th percentiles of blocks of turns, in ms.
func (m *measured) p99s() []float64 {
	var each []float64
	for turns := range slices.Chunk(m.took, block) {
		all := slices.Sorted(slices.Values(slices.Concat(turns...)))
		each = append(each, float64(all[len(all)*99/100])/float64(time.Millisecond))
	}
	return each
}

func p99(of, to *measured) float64 { return medianRatio(of.p99s(), to.p99s()) }

func ratio(of, to *measured) float64 { return medianRatio(of.rates, to.rates) }

func medianRatio(of, to []float64) float64 {
	each := make([]float64, len(of))
	for i := range each {
		each[i] = of[i] / to[i]
	}
	return median(each)
}

func median(of []float64) float64 {
	s := slices.Sorted(slices.Values(of))
	if len(s) == 0 {
		return math.NaN()
	}
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// compare lets the clients take turns, in an order that changes.
func compare(b *testing.B, rivals []*client, w work, workers int) []*measured {
	b.Helper()
	m := make([]*measured, len(rivals))
	for i := range m {
		m[i] = &measured{}
		turn(b, rivals[i], w, workers, &measured{})
	}
	for t := range turns {
		for i := range rivals {
			at := (i + t) % len(rivals)
			turn(b, rivals[at], w, workers, m[at])
		}
	}
	return m
}

func turn(b *testing.B, c *client, w work, workers int, m *measured) {
	b.Helper()
	var wg sync.WaitGroup
	took := make([][]time.Duration, workers)
	failed := make([]error, workers)
	start := time.Now()
	for i := range workers {
		wg.Go(func() {
			for last := start; last.Sub(start) < slice; {
				if err := w.run(c, i); err != nil {
					failed[i] = err
					return
				}
				now := time.Now()
				took[i] = append(took[i], now.Sub(last))
				last = now
			}
		})
	}
	wg.Wait()
	all := slices.Concat(took...)
	m.rates = append(m.rates, float64(len(all))/time.Since(start).Seconds())
	m.took = append(m.took, all)
	for _, err := range failed {
		if err != nil {
			b.Fatalf("%s: %s: %v", c.name, w.name, err)
		}
	}
}
