//go:build linux

package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/backstay-go/backstay/chaos"
)

// Cluster is running nodes. It is safe for concurrent use. Who started it closes it.
type Cluster struct {
	cfg     Config
	nodes   []*Node
	dir     string
	network *network       // nil: the nodes share the machine's loopback
	release []func() error // run by Close, last first
	spawn   chan spawn
	ctx     context.Context // of Start, without its end
	quit    chan struct{}
	wg      sync.WaitGroup
	once    sync.Once
	closed  error
}

// spawn asks the thread that nodes belong to for a process.
type spawn struct {
	cmd  *exec.Cmd
	done chan error
}

// Start starts the nodes and waits until all answer and see each other.
func Start(ctx context.Context, cfg Config) (_ *Cluster, err error) {
	if err := chaos.Refused(); err != nil {
		return nil, err
	}
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	ctx, cancel := context.WithTimeout(ctx, cfg.StartTimeout)
	defer cancel()
	jars, err := jars(ctx, cfg.Cache)
	if err != nil {
		return nil, err
	}
	c := &Cluster{cfg: cfg, dir: cfg.Dir, ctx: context.WithoutCancel(ctx), spawn: make(chan spawn), quit: make(chan struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	if err := c.folder(ctx); err != nil {
		return nil, err
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

// folder makes the cluster's folder.
func (c *Cluster) folder(ctx context.Context) error {
	if c.dir != "" {
		abs, err := filepath.Abs(c.dir)
		if err != nil {
			return fmt.Errorf("cluster: Dir: %w", err)
		}
		c.dir = abs
		return os.MkdirAll(abs, 0o755)
	}
	dir, release, err := ownFolder(ctx)
	if err != nil {
		return err
	}
	c.dir = dir
	c.release = append(c.release, release)
	return nil
}

// place gives each node a name, an address and a data centre.
func (c *Cluster) place() error {
	n, release, err := block(c.cfg.Namespaces)
	if err != nil {
		return err
	}
	c.release = append(c.release, release)
	prefix := fmt.Sprintf("127.0.%d.", n)
	if c.cfg.Namespaces {
		if c.network, err = newNetwork(n, c.cfg.Nodes*c.cfg.DataCenters); err != nil {
			return err
		}
		c.release = append(c.release, c.network.remove)
		prefix = c.network.prefix
	}
	for i := range c.cfg.Nodes * c.cfg.DataCenters {
		n := &Node{index: i, name: fmt.Sprintf("node%d", i+1), host: fmt.Sprintf("%s%d", prefix, i+1), dc: fmt.Sprintf("dc%d", 1+i/c.cfg.Nodes), state: Down}
		n.dir = filepath.Join(c.dir, n.name)
		c.nodes = append(c.nodes, n)
	}
	return nil
}

// begin starts the seed, then the others.
func (c *Cluster) begin(ctx context.Context) error {
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

// start makes a node's process.
func (c *Cluster) start(n *Node, jars string) (*exec.Cmd, error) {
	jmx, err := freePort()
	if err != nil {
		return nil, err
	}
	n.began(jmx)
	out, err := os.OpenFile(n.LogFile(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd := c.network.command(n.index, "java", n.args(c.cfg, jars, jmx)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = n.dir, out, out
	// A group of its own, so that Ctrl-C ends it through us and not beside us.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	s := spawn{cmd: cmd, done: make(chan error, 1)}
	select {
	case c.spawn <- s:
		return cmd, <-s.done
	case <-c.quit:
		return nil, errors.New("the cluster was closed")
	}
}

// spawner starts processes on a thread that lives as long as the cluster: the kernel
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

// Nodes are all nodes, those of dc1 first.
func (c *Cluster) Nodes() []*Node { return slices.Clone(c.nodes) }

// Node is the nth node, from 1; nil if there is none.
func (c *Cluster) Node(n int) *Node {
	if n < 1 || n > len(c.nodes) {
		return nil
	}
	return c.nodes[n-1]
}

// Hosts are the nodes' addresses, without port.
func (c *Cluster) Hosts() []string {
	var hosts []string
	for _, n := range c.nodes {
		hosts = append(hosts, n.host)
	}
	return hosts
}

// WaitUp waits until every node answers and sees all others up.
func (c *Cluster) WaitUp(ctx context.Context) error {
	for _, n := range c.nodes {
		if err := n.WaitReady(ctx); err != nil {
			return err
		}
	}
	for _, n := range c.nodes {
		if err := c.WaitSeen(ctx, n, true); err != nil {
			return err
		}
	}
	return nil
}

// WaitSeen waits until the other running nodes see a node up, or down.
func (c *Cluster) WaitSeen(ctx context.Context, of *Node, up bool) error {
	word := map[bool]string{true: "up", false: "down"}[up]
	return until(ctx, fmt.Sprintf("the others to see %s %s", of.name, word), func() error {
		for _, n := range c.nodes {
			if n != of && n.State() == Running && n.Sees(of) != up {
				return fmt.Errorf("%s does not see it %s", n.name, word)
			}
		}
		return nil
	})
}

// Close ends all nodes and removes what the cluster made. It can be called more than
// once.
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
		for _, release := range slices.Backward(c.release) {
			errs = append(errs, release())
		}
		c.closed = errors.Join(errs...)
	})
	return c.closed
}
