package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"time"

	"github.com/backstay-go/backstay/clients/rest"
	"github.com/backstay-go/backstay/resilience"
)

func main() {
	if err := write("rest/README.md"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func guarded(g *resilience.Guard, _ *http.Transport) http.RoundTripper {
	return &rest.Transport{Guard: g, Base: rest.NewBase(64)}
}

func quiet(g *resilience.Guard, _ *http.Transport) http.RoundTripper {
	return &rest.Transport{Guard: g, Base: rest.NewBase(64), NoHeaders: true}
}

// over guards the bare transport itself.
func over(g *resilience.Guard, base *http.Transport) http.RoundTripper {
	return &rest.Transport{Guard: g, Base: base}
}

func deadline(_ *resilience.Guard, base *http.Transport) http.RoundTripper { return timed{base} }

// write measures, and writes the tables.
func write(path string) error {
	var out bytes.Buffer
	fmt.Fprintf(&out, `# What a guarded request costs, and what it spares

Made by %[1]sgo run ./rest%[1]s in docs/benchmarks: %s, %s/%s, %d cores, client and server in one process.

## Throughput against the bare transport
Loopback, HTTP/1.1, kept connections; a bare %[1]shttp.Transport%[1]s against %[1]srest.Transport%[1]s with its own base, with timeouts, bulkhead, breaker and retry. Short runs of both by turns: medians of the runs and of the ratios of neighbours, and the ratio of the runs that only a tenth was faster than. The ratio of processor time is less disturbed by what else the machine does. The bar is 0.95. The last rows are for comparison: the guard over the same %[1]shttp.Transport%[1]s, and nothing but a deadline for each request.

| | bare, µs | guarded, µs | throughput, guarded : bare | of the fast runs | by processor time | of the fast runs |
|-|-|-|-|-|-|-|
`, "`", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	for _, c := range []struct {
		name          string
		size, callers int
		rival         func(*resilience.Guard, *http.Transport) http.RoundTripper
	}{
		{"1 KB, one caller", 1 << 10, 1, guarded},
		{"1 KB, 16 callers", 1 << 10, 16, guarded},
		{"1 KB, 16 callers, no Backstay headers", 1 << 10, 16, quiet},
		{"64 KB, 16 callers", 64 << 10, 16, guarded},
		{"1 KB, 16 callers, over `http.Transport`", 1 << 10, 16, over},
		{"1 KB, 16 callers, `context.WithTimeout` alone", 1 << 10, 16, deadline},
	} {
		r, err := compare(c.name, c.size, c.callers, 800, 60, c.rival)
		if err != nil {
			return err
		}
		fmt.Fprintf(&out, "| %s | %.1f | %.1f | %.2f | %.2f | %.2f | %.2f |\n", r.name, r.bare.wall/1e3, r.guarded.wall/1e3, r.wall, r.fastWall, r.cpu, r.fastCPU)
	}
	conns, err := opened()
	lost, err2 := failing()
	ran, err3 := dying()
	const limit = 5 * time.Second
	took, err4 := blackHole(limit)
	if err := errors.Join(err, err2, err3, err4); err != nil {
		return err
	}
	fmt.Fprintf(&out, `
## Connections and repeats against net/http's default transport
| | default | guarded | bar |
|-|-|-|-|
| 2,000 requests of 50 callers: connections opened | %d | %d | 60 |
| 300 failed attempts with bodies, ten at a time: connections opened | %d | %d | 10 |
| one GET over eight idle connections that die on use: executed, with two attempts allowed | %d | %d | 2 |
| HTTP/2 connection into a black hole, deadlines of 300 ms: recovered after | %s | %s | 1 s |
`, conns[0], conns[1], lost[0], lost[1], ran[0], ran[1], show(took[0], limit), show(took[1], limit))
	if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
		return err
	}
	_, err = os.Stdout.Write(out.Bytes())
	return err
}

func show(d, limit time.Duration) string {
	if d >= limit {
		return fmt.Sprintf("not in %v", limit)
	}
	return d.Round(10 * time.Millisecond).String()
}
