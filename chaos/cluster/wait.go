//go:build linux

package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

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

// WaitSeen waits until the other running nodes see a node up, or down. If no other node runs,
// the error matches ErrState, except in a cluster of one node.
func (c *Cluster) WaitSeen(ctx context.Context, of *Node, up bool) error {
	word := map[bool]string{true: "up", false: "down"}[up]
	return until(ctx, fmt.Sprintf("the others to see %s %s", of.name, word), func() error {
		looked := len(c.nodes) == 1 && up
		for _, n := range c.nodes {
			if n == of || n.State() != Running {
				continue
			}
			looked = true
			switch last := n.lastOf(of); {
			case last.up == up:
			case last.line == "":
				return fmt.Errorf("%s has not logged that it saw it; %s is %s", n.name, of.name, of.State())
			default:
				return fmt.Errorf("%s last logged of it: %s; %s is %s", n.name, last.line, of.name, of.State())
			}
		}
		if !looked {
			return final{fmt.Errorf("%w: no other node runs that could see it", ErrState)}
		}
		return nil
	})
}

// WaitReady waits until the node answers on its native protocol port.
func (n *Node) WaitReady(ctx context.Context) error {
	return until(ctx, "answer of "+n.name, func() error {
		if n.State() == Down {
			return final{fmt.Errorf("%s is down; its log ends with:\n%s", n.name, n.logTail())}
		}
		if err := n.answers(ctx); err != nil {
			return fmt.Errorf("%w; %s is %s", err, n.name, n.State())
		}
		return nil
	})
}

// answers sends an OPTIONS request, which needs no session.
func (n *Node) answers(ctx context.Context) error {
	d := net.Dialer{Timeout: time.Second}
	c, err := d.DialContext(ctx, "tcp", n.Address())
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return err
	}
	const version4, options, supported = 0x04, 0x05, 0x06
	if _, err := c.Write([]byte{version4, 0, 0, 0, options, 0, 0, 0, 0}); err != nil {
		return err
	}
	head := make([]byte, 9)
	if _, err := io.ReadFull(c, head); err != nil {
		return err
	}
	if head[4] != supported {
		return fmt.Errorf("%s answered OPTIONS with opcode %#x", n.name, head[4])
	}
	return nil
}

// logTail returns the end of what the process has printed.
func (n *Node) logTail() string {
	n.mu.Lock()
	from := n.logFrom
	n.mu.Unlock()
	f, err := os.Open(n.LogFile())
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	const most = 8 << 10
	b, err := io.ReadAll(io.NewSectionReader(f, max(from, n.logSize()-most), most))
	if err != nil {
		return err.Error()
	}
	return tail(string(b))
}

// lastLine returns the last line that the process has printed.
func (n *Node) lastLine() string {
	text := n.logTail()
	return text[strings.LastIndexByte(text, '\n')+1:]
}

// WaitHints waits until the node has handed over what it kept for others: until there have
// been no hints for twice as long as hints can stay in memory only.
func (n *Node) WaitHints(ctx context.Context) error {
	none := time.Now()
	return until(ctx, "hints of "+n.name+" to be handed on", func() error {
		if s := n.State(); s != Running {
			return final{fmt.Errorf("%w: %s is %s, and hands on nothing", ErrState, n.name, s)}
		}
		size, err := n.Hints()
		switch {
		case err != nil:
			return final{err}
		case size > 0:
			none = time.Now()
			return fmt.Errorf("there are %d bytes of them", size)
		case time.Since(none) < 2*hintsFlush:
			return errors.New("there may be some in memory")
		}
		return nil
	})
}

// final ends a wait.
type final struct{ error }

func (f final) Unwrap() error { return f.error }

// until waits for a condition. Its error says what it waited for, and what was last in the
// way.
func until(ctx context.Context, what string, holds func() error) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		err := holds()
		var f final
		switch {
		case err == nil:
			return nil
		case errors.As(err, &f):
			return fmt.Errorf("cluster: wait for %s: %w", what, f.error)
		case last == nil || ctx.Err() == nil:
			last = err // An attempt that the end of the wait cut off says nothing.
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("cluster: wait for %s: %w; last: %w", what, context.Cause(ctx), last)
		case <-tick.C:
		}
	}
}

// inAll limits a start that makes progress: it may take this many times as long as one without
// progress.
const inAll = 5

// patience returns a context that limits the start of nodes. It ends when no log of the nodes
// has grown for Config.StartTimeout, and in any case after inAll times that. On a busy machine
// nodes start slowly, but make progress.
func (c *Cluster) patience(ctx context.Context, nodes ...*Node) (context.Context, func()) {
	still := c.cfg.StartTimeout
	ctx, cancel := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(min(time.Second, still))
		defer tick.Stop()
		begun, grew, size := time.Now(), time.Now(), int64(-1)
		for {
			var now int64
			for _, n := range nodes {
				now += n.logSize()
			}
			if now != size {
				size, grew = now, time.Now()
			}
			switch {
			case time.Since(grew) >= still:
				cancel(fmt.Errorf("%w: no log of %s has grown for %s (Config.StartTimeout); %s", context.DeadlineExceeded, names(nodes), still, doings(nodes)))
			case time.Since(begun) >= inAll*still:
				cancel(fmt.Errorf("%w: %s is over, %d times Config.StartTimeout; %s", context.DeadlineExceeded, inAll*still, inAll, doings(nodes)))
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}()
	return ctx, func() {
		cancel(nil)
		<-ended
	}
}

func names(nodes []*Node) string {
	var all []string
	for _, n := range nodes {
		all = append(all, n.name)
	}
	return strings.Join(all, ", ")
}

// doings returns the last line that each node printed.
func doings(nodes []*Node) string {
	var all []string
	for _, n := range nodes {
		all = append(all, fmt.Sprintf("%s is %s, and last logged: %s", n.name, n.State(), n.lastLine()))
	}
	return strings.Join(all, "; ")
}
