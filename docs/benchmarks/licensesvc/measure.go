package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/backstay-go/backstay/licensesvc/upstream"
	"github.com/backstay-go/backstay/licensesvc/upstream/server"
)

// warmUp is the share of the load that is not counted.
const warmUp = 0.1

// measure runs the load and prints what came of it.
func (o options) measure(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "licensesvc")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	others, err := server.Start(ctx, server.Config{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, others.Shutdown(context.WithoutCancel(ctx))) }()
	child, err := o.start(ctx, dir, others)
	if err != nil {
		return err
	}
	m := &members{host: strings.TrimPrefix(child.url, "http://"), n: o.members, holds: map[int][]string{}}
	r := o.load(ctx, m, child.pid)
	fmt.Print(r)
	page := r.page(o)
	if o.overload {
		text := o.overloaded(m, r.perSecond, child.pid)
		fmt.Print(text)
		page += text
	}
	if err := errors.Join(m.idle.close(), child.end()); err != nil {
		return err
	}
	if o.write {
		return os.WriteFile("licensesvc/README.md", []byte(page), 0o644)
	}
	return ctx.Err()
}

// child is the process of the service.
type child struct {
	command *exec.Cmd
	stop    func() error
	url     string
	pid     int
}

func (o options) start(ctx context.Context, dir string, others *server.Set) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := exec.CommandContext(ctx, self, "-serve", dir, "-profile", o.profile,
		"-membership", others.URL(upstream.Membership), "-catalog", others.URL(upstream.Catalog), "-keys", others.URL(upstream.KeyService))
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.Start(); err != nil {
		return nil, err
	}
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the service did not start: %w", err), in.Close(), c.Wait())
	}
	return &child{command: c, stop: in.Close, url: strings.TrimSpace(url), pid: c.Process.Pid}, nil
}

func (c *child) end() error { return errors.Join(c.stop(), c.command.Wait()) }

// result is what came of a load.
type result struct {
	perSecond float64
	took      []time.Duration
	statuses  map[int]int
	failed    int64
	resident  []int // MB of the service, at ten moments
}

// load lets the clients ask, and looks at the service's memory meanwhile.
func (o options) load(ctx context.Context, m *members, pid int) result {
	ctx, cancel := context.WithTimeout(ctx, o.length)
	defer cancel()
	begin := time.Now()
	counted := begin.Add(time.Duration(float64(o.length) * warmUp))
	var failed atomic.Int64
	var mu sync.Mutex
	r := result{statuses: map[int]int{}}
	var wg sync.WaitGroup
	for c := range o.clients {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(c)))
			var own []sample
			for n := 0; ctx.Err() == nil; n++ {
				s, err := m.ask(random, fmt.Sprint("key-", c, "-", n))
				switch {
				case err != nil && ctx.Err() == nil:
					failed.Add(1)
				case err == nil && time.Now().After(counted):
					own = append(own, s)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			for _, s := range own {
				r.took = append(r.took, s.took)
				r.statuses[s.status]++
			}
		})
	}
	tick := time.NewTicker(o.length / 10)
	defer tick.Stop()
	for range 9 {
		select {
		case <-tick.C:
			r.resident = append(r.resident, resident(pid))
		case <-ctx.Done():
		}
	}
	wg.Wait()
	r.resident = append(r.resident, resident(pid))
	r.failed = failed.Load()
	r.perSecond = float64(len(r.took)) / time.Since(counted).Seconds()
	slices.Sort(r.took)
	return r
}

// resident returns the memory of a process in MB, or 0 if it can't be read.
func resident(pid int) int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), "VmRSS:")
	kb, err := strconv.Atoi(strings.Fields(rest + " 0")[0])
	if err != nil {
		return 0
	}
	return kb / 1024
}

func (r result) quantile(q float64) time.Duration {
	if len(r.took) == 0 {
		return 0
	}
	return r.took[int(q*float64(len(r.took)-1))]
}

func (r result) String() string {
	return fmt.Sprintf("%.0f requests/s, p50 %.1f ms, p99 %.1f ms, max %.0f ms; statuses %v; %d not answered; resident MB %v\n", r.perSecond,
		milliseconds(r.quantile(0.5)), milliseconds(r.quantile(0.99)), milliseconds(r.quantile(1)), r.statuses, r.failed, r.resident)
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// page is the README of a measurement.
func (r result) page(o options) string {
	return fmt.Sprintf(`# The license service

The peak of the service on SQLite: %d clients ask as fast as they are answered, over HTTP, for %d members; the service has a process of its own, and shares %d cores with the clients and with the services that it asks. `+"`go run ./licensesvc -write`"+` in `+"`docs/benchmarks`"+` writes this page, `+"`-profile cpu.pprof`"+` shows where the time goes.

| | measured | target |
|-|-|-|
| requests per second | %.0f | 4,500 |
| p99 | %.1f ms | 20 ms |
| p50 | %.1f ms | |
| resident memory at the end, after %d requests | %d MB | 100 MB |

Memory over the run, in ten steps: %v MB.
`, o.clients, o.members, runtime.NumCPU(), r.perSecond, milliseconds(r.quantile(0.99)), milliseconds(r.quantile(0.5)), len(r.took), r.resident[len(r.resident)-1], r.resident)
}
