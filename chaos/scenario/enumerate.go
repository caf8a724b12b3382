package scenario

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/load"
	"github.com/backstay-go/backstay/chaos/report"
)

// Enumerable is a System whose requests can be made one by one, for Enumerate.
type Enumerable interface {
	// Requests names the requests that can be made.
	Requests() []string
	// Prepare brings the system into a state in which the request makes sense, while
	// nothing is harmed, and returns a function that makes the request. If that function is
	// called twice under one identity, it makes the same request again, and the second
	// answer must agree with the first.
	Prepare(ctx context.Context, request string) (func(ctx context.Context, identity string) load.Sample, error)
}

// Point is a call that a request makes.
type Point struct {
	Protocol   string `json:"protocol"`
	Dependency string `json:"dependency"`
	Operation  string `json:"operation,omitempty"`
	// Table is the table of a CQL statement. Several tables of a batch are joined by commas.
	Table string `json:"table,omitempty"`
	// Nth is the number of the call among the request's calls of this operation, from 1.
	Nth int `json:"nth"`
}

func (p Point) String() string {
	name := p.Protocol + " " + p.Dependency
	if p.Operation != "" {
		name += " " + p.Operation
	}
	if p.Table != "" {
		name += " " + p.Table
	}
	if p.Nth > 1 {
		name += fmt.Sprintf(" #%d", p.Nth)
	}
	return name
}

// Cell is one run: a fault at a call, and what the caller got.
type Cell struct {
	Point Point `json:"point"`
	// Fault names the fault, and whether it harmed only this call or also all later ones.
	Fault string `json:"fault"`
	// Happened says that the fault harmed the call.
	Happened bool          `json:"happened"`
	Means    load.Meaning  `json:"means"`
	Outcome  string        `json:"outcome"`
	Detail   string        `json:"detail,omitempty"`
	Took     time.Duration `json:"took_ns"`
}

// Bad reports whether the result is one that no caller should get.
func (c Cell) Bad() bool { return c.Means == load.Wrong || c.Means == load.Late }

// EnumerateConfig configures an enumeration.
type EnumerateConfig struct {
	// Target makes systems that are Enumerable. A new one is started for each run. Required.
	Target Target
	// Scenario supplies settings, deadline and margin, and the description of an HTTP
	// system. Its load and faults are not used.
	Scenario Scenario
	// Request names the request to make. Required.
	Request string
	// Protocols lists where faults are injected. Default: all protocols on which calls were
	// seen.
	Protocols []string
	// Faults lists the faults to inject, by their names in the table, with or without
	// "once". Default: all that apply.
	Faults []string
	// Workers is how many systems run at once. Default: 1.
	Workers int
	// OnRun is called after each run, by one goroutine at a time. Nil: nothing is called.
	OnRun func(done, all int, c Cell)
	_     struct{}
}

// Enumerate makes one run to see which calls the request makes. Then it makes runs for each
// applicable fault at each call, one with the fault at that call only and one with the fault
// from then on, and records what the caller got. After each run the fault ends, the same
// request is made again, and the system is judged: an answer that turns out untrue is wrong.
// If Enumerate returns an error, the table contains the runs until then.
func Enumerate(ctx context.Context, cfg EnumerateConfig) (*Table, error) {
	if cfg.Target == nil || cfg.Request == "" {
		return nil, fmt.Errorf("%w: Target and Request are required", ErrConfig)
	}
	for _, p := range cfg.Protocols {
		if !slices.Contains(enumerated, p) {
			return nil, fmt.Errorf("%w: there is no protocol %q to enumerate; there are %q", ErrConfig, p, enumerated)
		}
	}
	if err := cfg.Target.Check(cfg.Scenario.withDefaults()); err != nil {
		return nil, errors.Join(ErrConfig, err)
	}
	dir, err := os.MkdirTemp("", "enumerate-")
	if err != nil {
		return nil, fmt.Errorf("scenario: a folder for the systems: %w", err)
	}
	e := &enumeration{cfg: cfg, scenario: cfg.Scenario.withDefaults(), dir: dir}
	t, err := e.kept(ctx)
	return t, errors.Join(err, os.RemoveAll(dir))
}

// kept enumerates with parts of the system that all runs share, if there are such parts.
func (e *enumeration) kept(ctx context.Context) (t *Table, err error) {
	if k, ok := e.cfg.Target.(Sharer); ok {
		dir := filepath.Join(e.dir, "kept")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
		target, end, err := k.Share(ctx, e.scenario, dir)
		if err != nil {
			return nil, fmt.Errorf("scenario: what the runs share did not start: %w", err)
		}
		e.cfg.Target = target
		t, err = e.all(ctx)
		return t, errors.Join(err, end())
	}
	return e.all(ctx)
}

// enumerated lists the protocols on which calls are looked for.
var enumerated = []string{chaos.InProcess, chaos.HTTP, chaos.TCP, chaos.CQL}

type enumeration struct {
	cfg      EnumerateConfig
	scenario Scenario
	dir      string
}

func (e *enumeration) all(ctx context.Context) (*Table, error) {
	t := &Table{Request: e.cfg.Request}
	rules, err := e.plan(ctx, t)
	if err != nil {
		return nil, err
	}
	r := &runs{cells: t.Cells, rules: rules, ran: make([]bool, len(rules)), failed: make(chan error, 1)}
	e.run(ctx, r)
	if r.done == len(rules) {
		return t, nil
	}
	t.Cells = nil
	for i, c := range r.cells {
		if r.ran[i] {
			t.Cells = append(t.Cells, c)
		}
	}
	if ctx.Err() != nil { // Other failures of the runs are then only a consequence.
		return t, fmt.Errorf("scenario: interrupted after %d of %d runs: %w", r.done, len(rules), context.Cause(ctx))
	}
	return t, fmt.Errorf("scenario: failed after %d of %d runs: %w", r.done, len(rules), <-r.failed)
}

// plan makes the request once, without a fault, and fills in the calls that it makes and
// the cells to run. It returns a rule for each cell.
func (e *enumeration) plan(ctx context.Context, t *Table) (rules []chaos.Rule, err error) {
	var seen recorder
	probe, err := e.once(ctx, 0, seen.plan(), &seen)
	if err != nil {
		return nil, errors.Join(interrupted(ctx), err)
	}
	if !probe.Means.Served() {
		return nil, fmt.Errorf("scenario: without a fault %q is %s (%s): there is nothing to enumerate", e.cfg.Request, probe.Means, probe.Detail)
	}
	t.Points = seen.points(e.cfg.Protocols)
	if len(t.Points) == 0 {
		return nil, fmt.Errorf("scenario: %q makes no call that can be harmed", e.cfg.Request)
	}
	for _, p := range t.Points {
		for _, f := range faultsAt(p) {
			if len(e.cfg.Faults) > 0 && !slices.Contains(e.cfg.Faults, f.kind) {
				continue
			}
			t.Cells = append(t.Cells, Cell{Point: p, Fault: f.name})
			rules = append(rules, f.rule)
		}
	}
	if len(t.Cells) == 0 {
		return nil, fmt.Errorf("%w: none of the faults %q applies to a call of %q; there are %q", ErrConfig, e.cfg.Faults, e.cfg.Request, faultNames(t.Points))
	}
	return rules, nil
}

// runs are the runs of an enumeration.
type runs struct {
	rules  []chaos.Rule
	failed chan error // the first failure

	mu    sync.Mutex
	cells []Cell
	ran   []bool
	done  int
}

// run runs every cell, on several workers, until one fails or the context ends.
func (e *enumeration) run(ctx context.Context, r *runs) {
	next := make(chan int)
	var wg sync.WaitGroup
	running, stop := context.WithCancel(ctx)
	defer stop()
	for range max(1, e.cfg.Workers) {
		wg.Go(func() {
			for i := range next {
				if err := e.cell(running, r, i); err != nil {
					select {
					case r.failed <- err:
					default:
					}
					stop()
				}
			}
		})
	}
	for i := range r.rules {
		select {
		case next <- i:
		case <-running.Done():
		}
	}
	close(next)
	wg.Wait()
}

// cell runs one cell.
func (e *enumeration) cell(ctx context.Context, r *runs, i int) error {
	got, err := e.once(ctx, i+1, chaos.Plan{Seed: e.scenario.Seed, Rules: []chaos.Rule{r.rules[i]}}, nil)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		return fmt.Errorf("%s, %s: %w", r.cells[i].Point, r.cells[i].Fault, err)
	}
	got.Point, got.Fault = r.cells[i].Point, r.cells[i].Fault
	r.cells[i], r.ran[i] = got, true
	r.done++
	if e.cfg.OnRun != nil {
		e.cfg.OnRun(r.done, len(r.rules), got)
	}
	return nil
}

// once starts a system, makes the request under the plan, and makes it again without it.
func (e *enumeration) once(ctx context.Context, n int, plan chaos.Plan, seen chaos.Listener) (c Cell, err error) {
	cfg := chaos.Config{}
	if seen != nil {
		cfg.Listeners = append(cfg.Listeners, seen)
	}
	injector, err := chaos.New(chaos.Plan{}, cfg)
	if err != nil {
		return c, err
	}
	dir := filepath.Join(e.dir, fmt.Sprint(n))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return c, err
	}
	system, err := e.cfg.Target.Start(ctx, Setup{Scenario: e.scenario, Injector: injector, Dir: dir, Protocols: e.protocols()})
	if err != nil {
		return c, fmt.Errorf("scenario: the system did not start: %w", err)
	}
	defer func() {
		injector.Stop()
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		err = errors.Join(err, system.Close(ending), os.RemoveAll(dir))
	}()
	asked, ok := system.(Enumerable)
	if !ok {
		return c, fmt.Errorf("%w: the target's requests can't be made one by one", ErrConfig)
	}
	if !slices.Contains(asked.Requests(), e.cfg.Request) {
		return c, fmt.Errorf("%w: there is no request %q; there are %q", ErrConfig, e.cfg.Request, asked.Requests())
	}
	ask, err := asked.Prepare(ctx, e.cfg.Request)
	if err != nil {
		return c, fmt.Errorf("scenario: prepare %q: %w", e.cfg.Request, err)
	}
	if err := injector.Update(plan); err != nil {
		return c, err
	}
	identity := fmt.Sprintf("enumerate-%d-%d", e.scenario.Seed, n)
	injector.Start()
	began := time.Now()
	s := ask(ctx, identity)
	c = Cell{Means: s.Means, Outcome: s.Outcome, Detail: s.Detail, Took: time.Since(began), Happened: happened(injector)}
	if c.Took > e.scenario.Deadline+e.scenario.Margin && c.Means != load.Wrong {
		c.Means = load.Late
	}
	injector.Stop()
	if again := ask(ctx, identity); again.Means == load.Wrong {
		c.Means, c.Detail = load.Wrong, "asked again: "+again.Detail
	}
	checks, err := system.Judge(ctx, nil)
	if err != nil {
		return c, err
	}
	for _, check := range checks {
		if check.Verdict == report.Failed {
			c.Means, c.Detail = load.Wrong, fmt.Sprintf("%s: %s %q", check.Name, check.Seen, check.Details)
		}
	}
	return c, nil
}

// protocols returns the protocols on which calls are looked for.
func (e *enumeration) protocols() []string {
	if len(e.cfg.Protocols) > 0 {
		return e.cfg.Protocols
	}
	return enumerated
}

func happened(i *chaos.Injector) bool {
	for _, n := range i.Stats().ByRule {
		if n > 0 {
			return true
		}
	}
	return false
}

// recorder finds the calls of a request by listening for a fault that has no effect.
type recorder struct {
	mu    sync.Mutex
	calls []chaos.Call
}

func (r *recorder) plan() chaos.Plan {
	var rules []chaos.Rule
	for _, protocol := range enumerated {
		rules = append(rules, chaos.Rule{Name: protocol, Where: chaos.Where{Protocol: protocol}, What: chaos.What{Kind: chaos.Latency, Delay: time.Nanosecond}})
	}
	return chaos.Plan{Rules: rules}
}

// Injected implements chaos.Listener.
func (r *recorder) Handle(_ context.Context, e chaos.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, e.Call)
}

// points returns the calls, numbered by operation. A connection carries many calls, so all
// connections to a dependency are one point.
func (r *recorder) points(protocols []string) []Point {
	r.mu.Lock()
	defer r.mu.Unlock()
	var points []Point
	count := map[Point]int{}
	for _, c := range r.calls {
		p := Point{Protocol: c.Protocol, Dependency: c.Dependency, Operation: c.Operation, Table: c.Table}
		if len(protocols) > 0 && !slices.Contains(protocols, p.Protocol) || p.Protocol == chaos.TCP && count[p] > 0 {
			continue
		}
		count[p]++
		p.Nth = count[p]
		points = append(points, p)
	}
	return points
}
