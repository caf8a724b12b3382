package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

const (
	rounds = 15
	// message is what one exchange sends, exchanges how many a round has.
	message, exchanges = 64, 2000
	// piece is what one write of a transfer sends, transfer how much a round sends.
	piece, transfer = 256 << 10, 128 << 20
)

// measured is one way and its rounds.
type measured struct {
	way
	echo, sink         net.Conn
	pingpong, transfer []float64 // µs, MB/s
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() (err error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	echo, sink, err := servers(ctx)
	if err != nil {
		return err
	}
	var all []*measured
	for _, w := range ways {
		m := &measured{way: w}
		if m.echo, err = through(ctx, w, echo); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		if m.sink, err = through(ctx, w, sink); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		all = append(all, m)
	}
	for round := range rounds + 1 { // the first is to warm up
		for i := range all { // in turn, each time from another one on
			m := all[(i+round)%len(all)]
			p50, err := exchange(m.echo)
			if err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
			rate, err := send(m.sink)
			if err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
			if round > 0 {
				m.pingpong, m.transfer = append(m.pingpong, p50), append(m.transfer, rate)
			}
		}
	}
	return write(all)
}

// through is a connection to a server on a way.
func through(ctx context.Context, w way, upstream string) (net.Conn, error) {
	addr, err := w.start(ctx, upstream)
	if err != nil {
		return nil, err
	}
	return net.Dial("tcp", addr)
}

// exchange is the median time of a message and its echo, in µs.
func exchange(c net.Conn) (float64, error) {
	buf, took := make([]byte, message), make([]time.Duration, 0, exchanges)
	for range exchanges {
		began := time.Now()
		if _, err := c.Write(buf); err != nil {
			return 0, err
		}
		if _, err := io.ReadFull(c, buf); err != nil {
			return 0, err
		}
		took = append(took, time.Since(began))
	}
	return float64(median(took).Nanoseconds()) / 1e3, nil
}

// send is the rate at which a transfer arrives, in MB/s.
func send(c net.Conn) (float64, error) {
	buf, began := make([]byte, piece), time.Now()
	for range transfer / piece {
		if _, err := c.Write(buf); err != nil {
			return 0, err
		}
	}
	if _, err := io.ReadFull(c, buf[:1]); err != nil { // It is there.
		return 0, err
	}
	return transfer / 1e6 / time.Since(began).Seconds(), nil
}

func median[T cmp.Ordered](all []T) T {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}

// ratio is the median of the rounds' ratios: neighbours in time are compared.
func ratio(a, b []float64) float64 {
	var all []float64
	for i := range a {
		all = append(all, a[i]/b[i])
	}
	return median(all)
}

func write(all []*measured) error {
	plain := all[slices.IndexFunc(all, func(m *measured) bool { return m.name == relayed })]
	var b strings.Builder
	fmt.Fprintf(&b, "# tcpproxy against a plain relay and Toxiproxy\n\nMade by `go run ./tcpproxy` in docs/benchmarks: %s, %s/%s, %d cores, everything in one process, over loopback. No proxy has open faults or toxics. %d rounds, the ways in turn. Ping-pong: %d messages of %d bytes a round and their echo, the median of a round; throughput: %d MB a round, in pieces of %d KiB, until all has arrived. Medians of the rounds; ratios are the medians of the rounds' ratios to the plain relay.\n\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), rounds, exchanges, message, transfer/1_000_000, piece>>10)
	b.WriteString("| | ping-pong p50 | to the relay | throughput | to the relay |\n|-|-|-|-|-|\n")
	for _, m := range all {
		fmt.Fprintf(&b, "| %s | %.1f µs | %.2f | %.0f MB/s | %.2f |\n", m.name, median(m.pingpong), ratio(m.pingpong, plain.pingpong), median(m.transfer), ratio(m.transfer, plain.transfer))
	}
	b.WriteString("\nBars: `chaos/tcpproxy` at most 1.3 times the relay's ping-pong, and at least 0.9 times its throughput.\n\nA connection starts with a buffer of 32 KiB a direction; one that fills it gets up to 256 KiB. With 32 KiB alone, throughput was 0.6 to 0.7 times the relay's.\n\nThe delays of a toxic at 1,000 connections: [latency](latency.md).\n")
	fmt.Print(b.String())
	return os.WriteFile(filepath.Join("tcpproxy", "README.md"), []byte(b.String()), 0o644)
}
