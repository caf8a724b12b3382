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

// Follow does to nodes what the injector's plan says, until the context ends: kill,
// pause and stop while a rule's window is open, and back when it closes. Rules name
// the dependency, and a node by its name. At the end every node that a rule took down
// is brought back; Follow returns when that is done.
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

// follower follows a plan for one node.
type follower struct {
	cluster  *Cluster
	node     *Node
	injector *chaos.Injector
	call     chaos.Call
	followed *chaos.Followed
	now      *chaos.Fault
}

func (f *follower) run(ctx context.Context) error {
	for {
		next, changed := f.injector.Next()
		if err := f.step(ctx); err != nil {
			return err
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
			return f.back(context.WithoutCancel(ctx))
		}
	}
}

// step makes the node what the open rules want.
func (f *follower) step(ctx context.Context) error {
	var want *chaos.Fault
	for _, fault := range f.followed.Faults(ctx) {
		switch fault.What.Kind {
		case chaos.Kill, chaos.Pause, chaos.Stop:
			if want == nil {
				want = &fault
			}
		}
	}
	if f.now != nil && (want == nil || want.Rule != f.now.Rule) {
		if err := f.back(ctx); err != nil {
			return err
		}
	}
	if f.now != nil || want == nil {
		return nil
	}
	f.now = want
	f.injector.Injected(ctx, f.call, *want)
	var err error
	switch want.What.Kind {
	case chaos.Kill:
		err = f.node.Kill(ctx)
	case chaos.Pause:
		err = f.node.Pause()
	case chaos.Stop:
		err = f.node.Stop(ctx)
	}
	if err != nil {
		return fmt.Errorf("cluster: rule %q: %w", want.Rule, err)
	}
	return nil
}

// back undoes what a rule did.
func (f *follower) back(ctx context.Context) error {
	if f.now == nil {
		return nil
	}
	rule, kind := f.now.Rule, f.now.What.Kind
	f.now = nil
	ctx, cancel := context.WithTimeout(ctx, f.cluster.cfg.StartTimeout)
	defer cancel()
	var err error
	if kind == chaos.Pause {
		err = f.node.Resume()
	} else {
		err = f.node.Start(ctx)
	}
	if err != nil {
		return fmt.Errorf("cluster: end of rule %q: %w", rule, err)
	}
	return nil
}
