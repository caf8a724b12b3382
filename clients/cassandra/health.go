package cassandra

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/backstay-go/backstay/clients/cassandra/internal/driver"
	"github.com/backstay-go/backstay/resilience"
)

// NodeHealth is what a node reports in its virtual tables. A field is empty if the
// node's version does not have the table.
type NodeHealth struct {
	Address    string `json:"address"`
	DataCenter string `json:"dc"`
	// DiskBytes is the size of the live data on the node in bytes, by keyspace, with
	// the precision of a MiB.
	DiskBytes map[string]int64 `json:"disk_bytes"`
	// LargestPartitions are the sizes of the largest partitions in bytes, by
	// keyspace.table, with the precision of a MiB. A table whose partitions are all
	// below a MiB is left out.
	LargestPartitions map[string]int64 `json:"largest_partitions"`
	// ThreadPools are the node's thread pools by name.
	ThreadPools []ThreadPool `json:"thread_pools"`
	// Hints are writes that the node stores for other nodes that missed them.
	Hints []PendingHints `json:"hints"`
	// Guardrails are the limits that are switched on, by the setting's name. A setting
	// that is off or is not a number is left out.
	Guardrails map[string]float64 `json:"guardrails"`
	_          struct{}
}

// HintFiles returns the number of files with hints.
func (h NodeHealth) HintFiles() int {
	n := 0
	for _, p := range h.Hints {
		n += p.Files
	}
	return n
}

// ThreadPool is one of a node's thread pools.
type ThreadPool struct {
	Name string `json:"name"`
	// Active tasks run, Pending ones wait, and Blocked ones wait to be queued.
	Active  int `json:"active"`
	Pending int `json:"pending"`
	Blocked int `json:"blocked"`
}

// PendingHints are the hints for one node.
type PendingHints struct {
	// For is the address of the node that missed the writes.
	For string `json:"for"`
	// Files is the number of files with hints.
	Files int `json:"files"`
	// Oldest is the time of the oldest hint; zero if the node does not report it.
	Oldest time.Time `json:"oldest"`
}

// Inspector reads the virtual tables of each node. It has a separate guard, so that
// inspecting a failing cluster takes no permits from its requests; the connections are
// the session's. It is safe for concurrent use. The caller must close it.
type Inspector struct {
	session *Session
	guard   *resilience.Guard
}

// inspectTimeout bounds the requests to one node.
const inspectTimeout = 5 * time.Second

// Inspector returns an inspector of the session's nodes.
func (s *Session) Inspector() (*Inspector, error) {
	if s.isClosed() {
		return nil, errClosed
	}
	guard, err := resilience.New(resilience.Policy{
		Name: s.config.Guard.Name + ".inspect", Bulkhead: resilience.BulkheadPolicy{Limit: 4, Queue: 1024},
		Default: resilience.OperationPolicy{Timeout: inspectTimeout, Criticality: resilience.Sheddable},
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return &Inspector{session: s, guard: guard}, nil
}

// Read asks every node that the session knows, all at the same time. It returns what
// could be read, together with the errors of the nodes that could not be read. Each
// error names its node.
func (i *Inspector) Read(ctx context.Context) ([]NodeHealth, error) {
	if i.session.isClosed() {
		return nil, errClosed
	}
	l := i.session.link.Load()
	nodes := l.nodes.All()
	found := make([]NodeHealth, len(nodes))
	errs := make([]error, len(nodes))
	var wg sync.WaitGroup
	for n, node := range nodes {
		wg.Go(func() {
			res, err := resilience.Do(ctx, i.guard, func(ctx context.Context) (NodeHealth, error) { return inspect(ctx, l.driver, node) })
			if err != nil {
				errs[n] = fmt.Errorf("cassandra: inspect %s: %w", node.Address, err)
				return
			}
			found[n] = res.Value
		})
	}
	wg.Wait()
	return slices.DeleteFunc(found, func(h NodeHealth) bool { return h.Address == "" }), errors.Join(errs...)
}

// Watch reads at once and then at each interval, and passes on the results, until the
// context ends. Then it returns the context's error. It runs on the caller's goroutine.
func (i *Inspector) Watch(ctx context.Context, every time.Duration, reported func([]NodeHealth, error)) error {
	if every <= 0 {
		return fmt.Errorf("%w: Watch every %v: give a duration above zero", ErrConfig, every)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		reported(i.Read(ctx))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// Close refuses further reads.
func (i *Inspector) Close() error { return i.guard.Close() }

func inspect(ctx context.Context, d driver.Session, node *driver.Node) (NodeHealth, error) {
	h := NodeHealth{Address: node.Address, DataCenter: node.DC(), DiskBytes: map[string]int64{}, LargestPartitions: map[string]int64{}, Guardrails: map[string]float64{}}
	for _, table := range virtual {
		if err := table.read(ctx, d, node, &h); err != nil {
			var e *Error
			if errors.As(err, &e) && errors.Is(e, ErrInvalid) && e.Code >= 0 {
				continue // An older version does not have it.
			}
			return h, err
		}
	}
	return h, nil
}

// view is one virtual table together with the function that stores its rows.
type view struct {
	cql string
	row func(h *NodeHealth, row map[string]any)
}

var virtual = []view{
	{"SELECT keyspace_name, mebibytes FROM system_views.disk_usage", func(h *NodeHealth, row map[string]any) {
		mib, _ := row["mebibytes"].(int64)
		h.DiskBytes[text(row["keyspace_name"])] += mib << 20
	}},
	{"SELECT keyspace_name, table_name, mebibytes FROM system_views.max_partition_size", func(h *NodeHealth, row map[string]any) {
		if mib, _ := row["mebibytes"].(int64); mib > 0 {
			h.LargestPartitions[text(row["keyspace_name"])+"."+text(row["table_name"])] = mib << 20
		}
	}},
	{"SELECT name, active_tasks, pending_tasks, blocked_tasks FROM system_views.thread_pools", func(h *NodeHealth, row map[string]any) {
		h.ThreadPools = append(h.ThreadPools, ThreadPool{text(row["name"]), number(row["active_tasks"]), number(row["pending_tasks"]), number(row["blocked_tasks"])})
	}},
	{"SELECT address, files, oldest FROM system_views.pending_hints", func(h *NodeHealth, row map[string]any) {
		oldest, _ := row["oldest"].(time.Time)
		h.Hints = append(h.Hints, PendingHints{For: fmt.Sprint(row["address"]), Files: number(row["files"]), Oldest: oldest})
	}},
	{"SELECT name, value FROM system_views.settings", func(h *NodeHealth, row map[string]any) {
		name := text(row["name"])
		if !strings.HasSuffix(name, "_warn_threshold") && !strings.HasSuffix(name, "_fail_threshold") {
			return
		}
		if limit, err := strconv.ParseFloat(text(row["value"]), 64); err == nil && limit >= 0 {
			h.Guardrails[name] = limit
		}
	}},
}

func (v view) read(ctx context.Context, d driver.Session, node *driver.Node, h *NodeHealth) error {
	st := parse(v.cql)
	var state []byte
	for {
		page, err := d.Do(ctx, &driver.Request{Statements: []driver.Statement{{CQL: v.cql}}, Consistency: uint16(One), PageSize: defaultPageSize, PageState: state}, &driver.Call{Only: node})
		if err != nil {
			var f *driver.Failure
			if errors.As(err, &f) {
				return judge(f, st)
			}
			return err
		}
		for {
			row, ok := page.Row()
			if !ok {
				break
			}
			v.row(h, row)
		}
		if err := page.Err(); err != nil {
			return err
		}
		if state = page.State(); len(state) == 0 {
			return nil
		}
	}
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

func number(v any) int {
	switch n := v.(type) {
	case int:
		return n
	case int64:
		return int(n)
	}
	return 0
}
