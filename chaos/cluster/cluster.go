//go:build linux

package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/backstay-go/backstay/chaos"
)

// Cluster is a set of running nodes. It is safe for concurrent use. The caller that started it
// must close it.
type Cluster struct {
	cfg     Config
	block   *addressBlock
	nodes   []*Node
	network *network // nil: the nodes share the machine's loopback
	spawn   chan spawn
	ctx     context.Context // of Start, without its end
	quit    chan struct{}
	wg      sync.WaitGroup
	once    sync.Once
	closed  error
}

// spawn asks the thread that owns the nodes to start a process.
type spawn struct {
	cmd  *exec.Cmd
	done chan error
}

// Start starts the nodes, and waits until all of them answer and see each other.
func Start(ctx context.Context, cfg Config) (_ *Cluster, err error) {
	if err := chaos.Refused(); err != nil {
		return nil, err
	}
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	jars, err := jars(ctx, cfg.Cache)
	if err != nil {
		return nil, err
	}
	left, err := cfg.leftovers()
	if err != nil {
		return nil, err
	}
	c := &Cluster{cfg: cfg, ctx: context.WithoutCancel(ctx), spawn: make(chan spawn), quit: make(chan struct{})}
	if c.block, err = lease(left); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	if err := os.MkdirAll(left.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("cluster: the folder of the nodes: %w", err)
	}
	c.wg.Go(c.spawner)
	if err := c.place(); err != nil {
		return nil, err
	}
	for _, n := range c.nodes {
		n.launch = func() (*exec.Cmd, error) { return c.start(n, jars) }
		n.tool = func(ctx context.Context, args ...string) (string, error) { return c.nodeTool(ctx, n, jars, args...) }
		if cfg.DiskMB > 0 {
			if err := c.mount(n); err != nil {
				return nil, err
			}
		}
		if err := n.lay(cfg, c.nodes[0].host); err != nil {
			return nil, err
		}
	}
	return c, c.begin(ctx)
}

// leftovers returns what a cluster with this configuration leaves behind if its owner is
// killed.
func (c Config) leftovers() (leftovers, error) {
	left := leftovers{Dir: c.Dir, Own: c.Dir == "", Namespaces: c.Namespaces}
	if left.Own {
		left.Dir = filepath.Join(os.TempDir(), folderName+strconv.FormatUint(rand.Uint64(), 36))
	}
	var err error
	if left.Dir, err = filepath.Abs(left.Dir); err != nil {
		return left, fmt.Errorf("cluster: Dir: %w", err)
	}
	return left, nil
}

// place gives each node a name, an address and a data centre.
func (c *Cluster) place() error {
	prefix := c.block.prefix()
	if c.cfg.Namespaces {
		c.network = networkOf(c.block.number)
		if err := c.network.make(c.cfg.Nodes * c.cfg.DataCenters); err != nil {
			return err
		}
		prefix = c.network.prefix
	}
	for i := range c.cfg.Nodes * c.cfg.DataCenters {
		n := &Node{index: i, name: nodeName(i), host: fmt.Sprintf("%s%d", prefix, i+1), dc: dataCenter(i / c.cfg.Nodes), state: Down}
		n.dir = filepath.Join(c.block.left.Dir, n.name)
		n.jmx = c.block.jmx(i)
		n.heard.begin(n.logSize())
		c.nodes = append(c.nodes, n)
	}
	return nil
}

// begin starts the seed node, then the others.
func (c *Cluster) begin(ctx context.Context) error {
	ctx, end := c.patience(ctx, c.nodes...)
	defer end()
	if err := c.nodes[0].Start(ctx); err != nil {
		return err
	}
	for _, n := range c.nodes[1:] {
		if err := n.spawn(); err != nil {
			return err
		}
	}
	return c.WaitUp(ctx)
}

// start starts the process of a node.
func (c *Cluster) start(n *Node, jars string) (*exec.Cmd, error) {
	n.began()
	out, err := os.OpenFile(n.LogFile(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd := c.network.command(n.index, "java", n.args(c.cfg, jars)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = n.dir, out, out
	// A separate process group, so that Ctrl-C does not reach the nodes directly and we end
	// them.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	s := spawn{cmd: cmd, done: make(chan error, 1)}
	select {
	case c.spawn <- s:
		return cmd, <-s.done
	case <-c.quit:
		return nil, errors.New("the cluster was closed")
	}
}

// spawner starts processes on a thread that lives as long as the cluster, because the kernel
// sends a process its parent-death signal when the thread that started it ends.
func (c *Cluster) spawner() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for {
		select {
		case s := <-c.spawn:
			s.done <- s.cmd.Start()
		case <-c.quit:
			return
		}
	}
}

// Nodes returns all nodes, those of dc1 first.
func (c *Cluster) Nodes() []*Node { return slices.Clone(c.nodes) }

// Node returns the nth node, counted from 1, or nil if there is none.
func (c *Cluster) Node(n int) *Node {
	if n < 1 || n > len(c.nodes) {
		return nil
	}
	return c.nodes[n-1]
}

// Hosts returns the nodes' addresses, without ports.
func (c *Cluster) Hosts() []string {
	var hosts []string
	for _, n := range c.nodes {
		hosts = append(hosts, n.host)
	}
	return hosts
}

// Close ends all nodes and removes everything that the cluster made. Closing twice does
// nothing more.
func (c *Cluster) Close() error {
	c.once.Do(func() {
		ctx, cancel := context.WithTimeout(c.ctx, time.Minute)
		defer cancel()
		var errs []error
		for _, n := range c.nodes {
			if n.State() != Down {
				if err := n.Kill(ctx); err != nil && !errors.Is(err, ErrState) {
					errs = append(errs, err)
				}
			}
		}
		close(c.quit)
		c.wg.Wait()
		c.closed = errors.Join(append(errs, c.block.release())...)
	})
	return c.closed
}
