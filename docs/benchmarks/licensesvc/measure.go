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
	if err := o.warm(ctx, m); err != nil {
		return err
	}
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
		return write(page)
	}
	return ctx.Err()
}

// write writes the page, and keeps the part of it that people wrote.
func write(page string) error {
	const file, kept = "licensesvc/README.md", "\n## What bounds it\n"
	old, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if _, text, found := strings.Cut(string(old), kept); found {
		page += kept + text
	}
	return os.WriteFile(file, []byte(page), 0o644)
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

// warm lets each member request a license before anything is counted, as in licensesvc/chaostest:
// a service in production has seen its members, and its connections, caches and guards are in
// use.
func (o options) warm(ctx context.Context, m *members) error {
	var next atomic.Int64
	failed := make([]error, o.clients)
	var wg sync.WaitGroup
	for c := range o.clients {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(2, uint64(c)))
			for n := int(next.Add(1)); n <= m.n && ctx.Err() == nil; n = int(next.Add(1)) {
				if _, err := m.play(random, n, "request", "", fmt.Sprint("warm-", n)); err != nil {
					failed[c] = err
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(append(failed, ctx.Err())...)
}

// result is what came of a load.
type result struct {
	perSecond float64
	took      []time.Duration
	statuses  map[int]int
	failed    int64
	resident  []int // MB of the service, at ten moments
	// service and generator are the processor time of the two processes per request.
	service, generator time.Duration
}

// load lets the clients ask, and looks at the service's memory meanwhile.
func (o options) load(ctx context.Context, m *members, pid int) result {
	ctx, cancel := context.WithTimeout(ctx, o.length)
	defer cancel()
	begin, service, generator := time.Now(), used(pid), used(os.Getpid())
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
				case err == nil:
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
	n := time.Duration(max(len(r.took), 1))
	r.perSecond = float64(n) / time.Since(begin).Seconds()
	r.service, r.generator = (used(pid)-service)/n, (used(os.Getpid())-generator)/n
	slices.Sort(r.took)
	return r
}

// used returns the processor time that a process has used, or 0 if it can't be read.
func used(pid int) time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(fields) < 13 {
		return 0
	}
	user, noUser := strconv.Atoi(fields[11])
	system, noSystem := strconv.Atoi(fields[12])
	if noUser != nil || noSystem != nil {
		return 0
	}
	return time.Duration(user+system) * 10 * time.Millisecond // The kernel counts in hundredths of a second.
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
	return fmt.Sprintf("%.0f requests/s, %d us of processor time per request in the service and %d us in the generator, p50 %.1f ms, p99 %.1f ms, max %.0f ms; statuses %v; %d not answered; resident MB %v\n", r.perSecond,
		r.service.Microseconds(), r.generator.Microseconds(), milliseconds(r.quantile(0.5)), milliseconds(r.quantile(0.99)), milliseconds(r.quantile(1)), r.statuses, r.failed, r.resident)
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// page is the README of a measurement.
func (r result) page(o options) string {
	return fmt.Sprintf(`# The license service

The peak of the service on SQLite: %d clients ask as fast as they are answered, over HTTP, for %d members; the service runs in a separate process, and shares %d cores with the generator: the clients, and the three services that it asks. Each member has requested one license before anything is counted. The mix is that of `+"`licensesvc/chaostest`"+`: %s. `+"`go run ./licensesvc -write`"+` in `+"`docs/benchmarks`"+` writes this page, `+"`-profile cpu.pprof`"+` shows where the time goes.

| | measured | target |
|-|-|-|
| requests per second | %.0f | 4,500 |
| p99 | %.1f ms | 20 ms |
| p50 | %.1f ms | |
| processor time of the service per request | %d µs | |
| processor time of the generator per request | %d µs | |
| resident memory at the end, after %d requests | %d MB | 100 MB |

Memory over the run, in ten steps: %v MB.

Of the processors' time, %.0f %% went to the service and the generator.
`, o.clients, o.members, runtime.NumCPU(), described(), r.perSecond, milliseconds(r.quantile(0.99)), milliseconds(r.quantile(0.5)),
		r.service.Microseconds(), r.generator.Microseconds(), len(r.took), r.resident[len(r.resident)-1], r.resident,
		100*r.perSecond*(r.service+r.generator).Seconds()/float64(runtime.NumCPU()))
}
