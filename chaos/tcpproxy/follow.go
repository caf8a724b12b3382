package tcpproxy

import (
	"maps"
	"time"

	"github.com/backstay-go/backstay/chaos"
)

// admit applies the faults that act before the upstream is dialed. It follows changes of
// the plan. It returns false if the connection is refused.
func (r *relay) admit(followed *chaos.Followed) bool {
	for {
		next, changed := r.proxy.cfg.Injector.Next()
		var wait time.Duration
		for _, f := range forces(followed.Faults(r.proxy.ctx)) {
			more, refuse := f.effect.admit(r, f.Fault)
			if refuse {
				r.abort(true)
				return false
			}
			wait += more
		}
		left := wait - time.Since(r.began)
		if left <= 0 {
			return true
		}
		if !r.sleep(sooner(left, next), changed) {
			return false
		}
	}
}

// follow keeps the faults in force up to date until the relay ends.
func (r *relay) follow(followed *chaos.Followed) {
	for r.update(followed, true) {
	}
}

// update puts the faults of this moment in force. With wait it then waits until they may
// have changed. It returns false if the relay has ended.
func (r *relay) update(followed *chaos.Followed, wait bool) bool {
	next, changed := r.proxy.cfg.Injector.Next()
	now, again := r.take(followed.Faults(r.proxy.ctx))
	if r.over() {
		return false
	}
	old := r.now.Swap(&inForce{forces: now, changed: make(chan struct{}), outdated: changed})
	close(old.changed)
	return !wait || r.sleep(sooner(again, next), changed)
}

// sleep waits until a time has passed (0 means no limit), the plan is changed, or a trip
// requires that the faults are evaluated again. It returns false if the relay or the proxy
// has ended.
func (r *relay) sleep(d time.Duration, changed <-chan struct{}) bool {
	var wake <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		wake = timer.C
	}
	select {
	case <-r.done:
		return false
	case <-r.proxy.ctx.Done():
		return false
	case <-changed:
	case <-r.look:
	case <-wake:
	}
	return !r.over()
}

// sooner returns the shorter of two times, where 0 stands for never.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}

// take applies faults to the live connection, and ends those that are over. It leaves out
// faults for which the connection is not old enough, and returns the time after which it
// must be called again; 0: only when the plan changes.
func (r *relay) take(faults []chaos.Fault) (now []force, again time.Duration) {
	age, open := time.Since(r.began), map[string]time.Duration{}
	for _, f := range forces(faults) {
		if left := f.What.AfterUptime - age; left > 0 {
			again = sooner(again, left)
			continue
		}
		open[f.Rule] = f.Begins
		now = append(now, f)
	}
	gone := func(rule string, begins time.Duration) bool {
		began, is := open[rule]
		return !is || began != begins
	}
	r.mu.Lock()
	maps.DeleteFunc(r.trips, func(rule string, t trip) bool { return gone(rule, t.begins) })
	r.mu.Unlock()
	for _, f := range r.now.Load().forces {
		if gone(f.Rule, f.Begins) {
			f.effect.ended(r)
		}
	}
	for _, f := range now {
		again = sooner(again, f.effect.apply(r, f.Fault))
	}
	return now, again
}

// current returns the faults for bytes that are passed on now. If the plan was changed, it
// waits until follow has put the new one in force, so that no byte meets the old one.
func (r *relay) current() *inForce {
	for {
		now := r.now.Load()
		select {
		case <-now.outdated:
		default:
			return now
		}
		select {
		case <-now.changed:
		case <-r.done:
			return now
		}
	}
}
