//go:build linux

package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/backstay-go/backstay/chaos"
)

// Follow applies the injector's plan to nodes until the context ends. While a rule's window is
// open it kills, pauses or stops a node, switches CQL off, cuts the network or fills a disk;
// it undoes that when the window closes. Rules name the dependency, and a node by its name.
// The name of a data centre stands for each of its nodes. Probability and counts of calls
// apply to the nodes in order, from node1, so that the same seed always affects the same
// nodes.
//
// At the end everything that a rule did is undone, and only then Follow returns. It also ends,
// with an error, when something can't be done. A plan is refused with a *chaos.PlanError,
// before anything is done, if its rules for this dependency name what isn't there or need what
// the cluster lacks (Config.Namespaces, Config.DiskMB). Before you update a plan that is being
// followed, check it with Config.CheckPlan.
func (c *Cluster) Follow(ctx context.Context, injector *chaos.Injector, dependency string) error {
	if err := c.cfg.CheckPlan(injector.Plan(), dependency); err != nil {
		return err
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	followers := make([]*follower, len(c.nodes))
	errs := make([]error, len(c.nodes))
	var wg sync.WaitGroup
	for i, n := range c.nodes {
		f := &follower{cluster: c, node: n, injector: injector, call: c.cfg.call(dependency, i), wants: make(chan []chaos.Fault, 1)}
		followers[i] = f
		wg.Go(func() {
			if errs[i] = f.run(ctx); errs[i] != nil {
				end()
			}
		})
	}
	lead(ctx, injector, followers)
	wg.Wait()
	return errors.Join(errs...)
}

// lead sends each follower the faults that its node should have, whenever they may have
// changed. It decides for one node after another, so that rules that count calls see them in
// one order.
func lead(ctx context.Context, injector *chaos.Injector, followers []*follower) {
	followed := make([]*chaos.Followed, len(followers))
	for i, f := range followers {
		followed[i] = injector.Follow(f.call)
	}
	for {
		next, changed := injector.Next()
		for i, f := range followers {
			select {
			case <-f.wants: // It had no time for it, and now it is old.
			default:
			}
			f.wants <- followed[i].Faults(ctx)
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
			return
		}
	}
}

// The parts of a node that faults affect independently: a node whose network is cut can also
// be killed.
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
	wants    chan []chaos.Fault // the latest, if it was not taken yet
	now      [parts]*chaos.Fault
	cut      []way // by the partition of now
}

func (f *follower) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return f.back(ctx)
		case faults := <-f.wants:
			if err := f.step(ctx, faults); err != nil {
				back := f.back(ctx)
				if ctx.Err() != nil {
					return back // It was interrupted.
				}
				return errors.Join(err, back)
			}
		}
	}
}

// step applies the open rules to the node: for each part, the first rule counts.
func (f *follower) step(ctx context.Context, faults []chaos.Fault) error {
	var want [parts]*chaos.Fault
	for _, fault := range faults {
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
		f.injector.Report(ctx, f.call, *want)
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
		f.cut = f.cluster.cfg.ways(f.node.index, what)
		return f.cluster.cut(f.node.name+" from its peers", f.cut...)
	case chaos.DiskFull:
		return f.node.FillDisk(what.Free)
	}
	return nil
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
	// A fault is undone even if the context has ended.
	ctx, end := f.cluster.patience(context.WithoutCancel(ctx), f.node)
	defer end()
	var err error
	switch fault.What.Kind {
	case chaos.Kill, chaos.Stop:
		err = f.node.Start(ctx)
	case chaos.Pause:
		err = f.node.Resume()
	case chaos.BinaryOff:
		err = f.node.BinaryOn(ctx)
	case chaos.Partition:
		err = f.cluster.network.restore(f.cut...)
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
