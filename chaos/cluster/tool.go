//go:build linux

package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// nodeTool runs Cassandra's nodetool against a node.
func (c *Cluster) nodeTool(ctx context.Context, n *Node, jars string, args ...string) (string, error) {
	if s := n.State(); s != Running {
		return "", fmt.Errorf("%w: %s of %s: it is %s", ErrState, strings.Join(args, " "), n.name, s)
	}
	// The tool keeps a history in the home folder, so it gets another one.
	java := []string{"-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+PerfDisableSharedMem", "-Duser.home=" + c.block.left.Dir,
		"-Dcassandra.storagedir=" + n.disk(), "-Dlogback.configurationFile=file://" + filepath.Join(n.dir, "conf", "logback-tools.xml")}
	java = append(append(java, modules()...), "-cp", filepath.Join(jars, "*"), "org.apache.cassandra.tools.NodeTool",
		"-h", "127.0.0.1", "-p", strconv.Itoa(n.jmx))
	cmd := c.network.command(n.index, "java", append(java, args...)...)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	s := spawn{cmd: cmd, done: make(chan error, 1)}
	select {
	case c.spawn <- s:
	case <-c.quit:
		return "", errors.New("cluster: it was closed")
	}
	if err := <-s.done; err != nil {
		return "", fmt.Errorf("cluster: nodetool: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			return "", fmt.Errorf("cluster: nodetool %s on %s: %w\n%s", strings.Join(args, " "), n.name, err, tail(out.String()))
		}
		return out.String(), nil
	case <-ctx.Done():
		err := cmd.Process.Kill()
		<-ended
		return "", errors.Join(fmt.Errorf("cluster: nodetool %s on %s: %w", strings.Join(args, " "), n.name, ctx.Err()), err)
	}
}

// Tool runs nodetool on the node, for example Tool(ctx, "flush"), and returns what it
// printed. It takes a second or two.
func (n *Node) Tool(ctx context.Context, args ...string) (string, error) { return n.tool(ctx, args...) }

// BinaryOff switches CQL off on the node: connections are closed and new ones are refused,
// while the node remains a replica for the other nodes.
func (n *Node) BinaryOff(ctx context.Context) error {
	_, err := n.tool(ctx, "disablebinary")
	return err
}

// BinaryOn undoes BinaryOff, and waits until the node answers CQL.
func (n *Node) BinaryOn(ctx context.Context) error {
	if _, err := n.tool(ctx, "enablebinary"); err != nil {
		return err
	}
	return n.WaitReady(ctx)
}

// Drain flushes the node and stops it serving, while its process continues. Restart, or Stop
// and Start, bring it back.
func (n *Node) Drain(ctx context.Context) error {
	_, err := n.tool(ctx, "drain")
	return err
}

// Hints returns how many bytes of hints the node keeps for others: writes that those missed. A
// hint is kept only in memory at first, for up to half a second. (Cassandra's list of pending
// hints leaves out the file that is being written.)
func (n *Node) Hints() (int64, error) {
	files, err := filepath.Glob(filepath.Join(n.disk(), "hints", "*.hints"))
	if err != nil {
		return 0, fmt.Errorf("cluster: hints of %s: %w", n.name, err)
	}
	var size int64
	for _, f := range files {
		// A file that has disappeared meanwhile was handed over.
		if info, err := os.Stat(f); err == nil {
			size += info.Size()
		}
	}
	return size, nil
}

// RollingRestart restarts every running node, one after another, and waits after each until
// all nodes see it up.
func (c *Cluster) RollingRestart(ctx context.Context) error {
	for _, n := range c.nodes {
		if n.State() != Running {
			continue
		}
		if err := n.Restart(ctx); err != nil {
			return err
		}
		if err := c.WaitSeen(ctx, n, true); err != nil {
			return err
		}
	}
	return nil
}
