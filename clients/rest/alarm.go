package rest

import (
	"sync"
	"sync/atomic"
	"time"
)

// alarm is a timer that is used again by other attempts, because each request needs
// one and nearly none ever rings.
type alarm struct {
	t  *time.Timer
	of atomic.Pointer[attempt]
}

var alarms sync.Pool

// setAlarm calls a.expire after d.
func setAlarm(a *attempt, d time.Duration) *alarm {
	if r, ok := alarms.Get().(*alarm); ok {
		r.of.Store(a)
		r.t.Reset(d)
		return r
	}
	r := new(alarm)
	r.of.Store(a)
	r.t = time.AfterFunc(d, func() {
		if a := r.of.Load(); a != nil {
			a.expire()
		}
	})
	return r
}

// drop ends it. One that rings at this moment is not used again.
func (r *alarm) drop() {
	stopped := r.t.Stop()
	r.of.Store(nil)
	if stopped {
		alarms.Put(r)
	}
}
