//go:build linux

package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
)

// State is the current state of a node.
type State string

// The states.
const (
	// Running: the process runs.
	Running State = "running"
	// Paused: the process is stopped by SIGSTOP; connections to it stay open.
	Paused State = "paused"
	// Down: there is no process.
	Down State = "down"
)

// Node is one node of a cluster. Its methods are safe for concurrent use. Methods that change
// its state run one after another.
type Node struct {
	name, host, dc, dir string
	index, jmx          int
	launch              func() (*exec.Cmd, error)
	tool                func(ctx context.Context, args ...string) (string, error)

	changing sync.Mutex // held while the state changes
	mu       sync.Mutex
	state    State
	cmd      *exec.Cmd
	ended    chan struct{} // closed when cmd has ended
	logFrom  int64         // where the log of the running process begins
	heard    gossip
}

// Name returns node1, node2 and so on.
func (n *Node) Name() string { return n.name }

// Host returns the address, without the port.
func (n *Node) Host() string { return n.host }

// Address returns host:port of the native protocol.
func (n *Node) Address() string { return net.JoinHostPort(n.host, strconv.Itoa(Port)) }

// DataCenter returns the name of the node's data centre.
func (n *Node) DataCenter() string { return n.dc }

// LogFile returns the path of the file with everything that the node printed since the cluster
// was started.
func (n *Node) LogFile() string { return filepath.Join(n.dir, "node.log") }

// disk returns the folder in which the node stores its data.
func (n *Node) disk() string { return filepath.Join(n.dir, "disk") }

// began notes that a process is about to be started. What an earlier process logged no longer
// counts.
func (n *Node) began() {
	from := n.logSize()
	n.mu.Lock()
	n.logFrom = from
	n.mu.Unlock()
	n.heard.begin(from)
}

// logSize returns the length of the log.
func (n *Node) logSize() int64 {
	info, err := os.Stat(n.LogFile())
	if err != nil {
		return 0
	}
	return info.Size()
}

// State returns the node's state. A process that ended by itself is Down.
func (n *Node) State() State {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ended != nil {
		select {
		case <-n.ended:
			return Down
		default:
		}
	}
	return n.state
}

// Pid returns the process id, or 0 if the node is down.
func (n *Node) Pid() int {
	if n.State() == Down {
		return 0
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.cmd.Process.Pid
}

// Start starts a node that is down and waits until it answers CQL.
func (n *Node) Start(ctx context.Context) error {
	if err := n.spawn(); err != nil {
		return err
	}
	return n.WaitReady(ctx)
}

func (n *Node) spawn() error {
	n.changing.Lock()
	defer n.changing.Unlock()
	if s := n.State(); s != Down {
		return fmt.Errorf("%w: start of %s: it is %s", ErrState, n.name, s)
	}
	cmd, err := n.launch()
	if err != nil {
		return fmt.Errorf("cluster: start of %s: %w", n.name, err)
	}
	ended := make(chan struct{})
	n.mu.Lock()
	n.cmd, n.state, n.ended = cmd, Running, ended
	n.mu.Unlock()
	go func() {
		defer close(ended)
		// The log and State say how the process ended.
		_ = cmd.Wait()
	}()
	return nil
}

// Stop drains the node and ends it with SIGTERM, as an operator would.
func (n *Node) Stop(ctx context.Context) error {
	return n.end(ctx, "stop", syscall.SIGTERM)
}

// Kill ends the node at once, with SIGKILL.
func (n *Node) Kill(ctx context.Context) error { return n.end(ctx, "kill", syscall.SIGKILL) }

func (n *Node) end(ctx context.Context, what string, sig syscall.Signal) error {
	n.changing.Lock()
	defer n.changing.Unlock()
	s := n.State()
	if s == Down || s == Paused && sig != syscall.SIGKILL {
		return fmt.Errorf("%w: %s of %s: it is %s", ErrState, what, n.name, s)
	}
	if err := n.signal(sig); err != nil {
		return err
	}
	n.mu.Lock()
	ended := n.ended
	n.mu.Unlock()
	select {
	case <-ended:
		n.set(Down)
		return nil
	case <-ctx.Done():
		return fmt.Errorf("cluster: %s of %s: %w", what, n.name, ctx.Err())
	}
}

// Restart drains and ends the node as Stop does, starts it again, and waits until it answers.
func (n *Node) Restart(ctx context.Context) error {
	if err := n.Stop(ctx); err != nil {
		return err
	}
	return n.Start(ctx)
}

// Pause stops the process without ending it, with SIGSTOP: connections stay open, and nothing
// answers.
func (n *Node) Pause() error { return n.turn("pause", Running, Paused, syscall.SIGSTOP) }

// Resume continues the process after Pause, with SIGCONT.
func (n *Node) Resume() error { return n.turn("resume", Paused, Running, syscall.SIGCONT) }

func (n *Node) turn(what string, from, to State, sig syscall.Signal) error {
	n.changing.Lock()
	defer n.changing.Unlock()
	if s := n.State(); s != from {
		return fmt.Errorf("%w: %s of %s: it is %s", ErrState, what, n.name, s)
	}
	if err := n.signal(sig); err != nil {
		return err
	}
	n.set(to)
	return nil
}

func (n *Node) set(s State) {
	n.mu.Lock()
	n.state = s
	n.mu.Unlock()
}

func (n *Node) signal(sig syscall.Signal) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("cluster: %s of %s: %w", sig, n.name, err)
	}
	return nil
}
