//go:build linux

package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/backstay-go/backstay/chaos"
)

// Follow does to nodes what the injector's plan says, until the context ends: kill,
// pause, stop, CQL off, a partition and a full disk while a rule's window is open, and
// back when it closes. Rules name the dependency, and a node by its name. At the end
// everything that a rule did is undone; Follow returns when that is done. What a rule
// needs (Config.Namespaces, Config.DiskMB) and the cluster lacks is an error.
func (c *Cluster) Follow(ctx context.Context, injector *chaos.Injector, dependency string) error {
	errs := make([]error, len(c.nodes))
	var wg sync.WaitGroup
	for i, n := range c.nodes {
		wg.Go(func() {
			call := chaos.Call{Dependency: dependency, Node: n.name, Protocol: chaos.Node}
			f := follower{cluster: c, node: n, injector: injector, call: call, followed: injector.Follow(call)}
			errs[i] = f.run(ctx)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// The parts of a node that are harmed apart from each other: a node whose network is cut
// may be killed too.
const (
	ofProcess = iota
	ofNetwork
	ofDisk
	parts
)

var partOf = map[chaos.Kind]int{
	chaos.Kill: ofProcess, chaos.Pause: ofProcess, chaos.Stop: ofProcess, chaos.BinaryOff: ofProcess,
	chaos.Partition: ofNetwork, chaos.DiskFull: ofDisk,
}

// follower follows a plan for one node.
type follower struct {
	cluster  *Cluster
	node     *Node
	injector *chaos.Injector
	call     chaos.Call
	followed *chaos.Followed
	now      [parts]*chaos.Fault
}

func (f *follower) run(ctx context.Context) error {
	for {
		next, changed := f.injector.Next()
		if err := f.step(ctx); err != nil {
			back := f.back(ctx)
			if ctx.Err() != nil {
				return back // It was interrupted.
			}
			return errors.Join(err, back)
		}
		var wake <-chan time.Time
		var timer *time.Timer
		if next > 0 {
			timer = time.NewTimer(next)
			wake = timer.C
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-wake:
		}
		if timer != nil {
			timer.Stop()
		}
		if ctx.Err() != nil {
			return f.back(ctx)
		}
	}
}

// step makes the node what the open rules want: the first of each part.
func (f *follower) step(ctx context.Context) error {
	var want [parts]*chaos.Fault
	for _, fault := range f.followed.Faults(ctx) {
		if part, ok := partOf[fault.What.Kind]; ok && want[part] == nil {
			want[part] = &fault
		}
	}
	for part := range parts {
		now, want := f.now[part], want[part]
		if now != nil && (want == nil || want.Rule != now.Rule) {
			if err := f.undo(ctx, part); err != nil {
				return err
			}
			now = nil
		}
		if now != nil || want == nil {
			continue
		}
		f.now[part] = want
		f.injector.Injected(ctx, f.call, *want)
		if err := f.do(ctx, want.What); err != nil {
			return fmt.Errorf("cluster: rule %q: %w", want.Rule, err)
		}
	}
	return nil
}

func (f *follower) do(ctx context.Context, what chaos.What) error {
	switch what.Kind {
	case chaos.Kill:
		return f.node.Kill(ctx)
	case chaos.Pause:
		return f.node.Pause()
	case chaos.Stop:
		return f.node.Stop(ctx)
	case chaos.BinaryOff:
		return f.node.BinaryOff(ctx)
	case chaos.Partition:
		return f.cut(what)
	case chaos.DiskFull:
		return f.node.FillDisk(what.Free)
	}
	return nil
}

// cut cuts the node from its peers.
func (f *follower) cut(what chaos.What) error {
	clients := f.cluster.CutClients
	if what.OneWay {
		clients = f.cluster.muteToClients
	}
	err := f.parted(what, f.cluster.Cut)
	if slices.Contains(what.Peers, chaos.Clients) {
		err = errors.Join(err, clients(f.node))
	}
	return err
}

// parted cuts or mends the node from those of its peers that are nodes.
func (f *follower) parted(what chaos.What, each func(from, to *Node) error) error {
	var errs []error
	for _, peer := range f.cluster.nodes {
		if peer == f.node || !slices.ContainsFunc(what.Peers, func(name string) bool { return name == peer.name || name == "*" }) {
			continue
		}
		errs = append(errs, each(f.node, peer))
		if !what.OneWay {
			errs = append(errs, each(peer, f.node))
		}
	}
	return errors.Join(errs...)
}

// back undoes everything.
func (f *follower) back(ctx context.Context) error {
	var errs []error
	for part := range parts {
		errs = append(errs, f.undo(ctx, part))
	}
	return errors.Join(errs...)
}

// undo undoes what a rule did to a part.
func (f *follower) undo(ctx context.Context, part int) error {
	fault := f.now[part]
	if fault == nil {
		return nil
	}
	f.now[part] = nil
	// What was done is undone, also when the context has ended.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.cluster.cfg.StartTimeout)
	defer cancel()
	var err error
	switch fault.What.Kind {
	case chaos.Kill, chaos.Stop:
		err = f.node.Start(ctx)
	case chaos.Pause:
		err = f.node.Resume()
	case chaos.BinaryOff:
		err = f.node.BinaryOn(ctx)
	case chaos.Partition:
		err = f.parted(fault.What, f.cluster.mend)
		if slices.Contains(fault.What.Peers, chaos.Clients) {
			err = errors.Join(err, f.cluster.mendClients(f.node))
		}
	case chaos.DiskFull:
		if err = f.node.FreeDisk(); err == nil {
			err = f.node.serveAgain(ctx, fault.What.Free)
		}
	}
	if err != nil {
		return fmt.Errorf("cluster: end of rule %q: %w", fault.Rule, err)
	}
	return nil
}
