package server

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// listener gives connections that tell when they are closed, and takes those that the
// system has accepted before it closes: closing a socket resets what waits on it, and
// on a busy machine that is what callers have just sent.
type listener struct {
	net.Listener
	conns *conns
	// last: no more is taken than what waits.
	last atomic.Bool
}

const (
	// lastWait is how long the listener must bring nothing to be empty.
	lastWait = 20 * time.Millisecond
	// lastBound bounds taking what waits, while more come.
	lastBound = 500 * time.Millisecond
)

// deadliner is a listener whose Accept can be ended without closing it.
type deadliner interface{ SetDeadline(time.Time) error }

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	for {
		last := l.last.Load()
		if d, ok := l.Listener.(deadliner); ok && last {
			if err := d.SetDeadline(time.Now().Add(lastWait)); err != nil {
				return nil, err
			}
		}
		nc, err := l.Listener.Accept()
		switch {
		case err == nil:
			return l.conns.add(nc), nil
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return nil, err
		case last:
			return nil, net.ErrClosed // it was asked since, and is empty
		}
	}
}

// finish takes what waits, then closes. served is closed when Accept is asked no more.
func (l *listener) finish(served <-chan error) error {
	if d, ok := l.Listener.(deadliner); ok {
		l.last.Store(true)
		if d.SetDeadline(time.Now()) == nil {
			select {
			case <-served:
				return ignoreClosed(l.Close())
			case <-time.After(lastBound):
			}
		}
	}
	err := ignoreClosed(l.Close())
	<-served // the listener has gone: its error says no more than that
	return err
}
