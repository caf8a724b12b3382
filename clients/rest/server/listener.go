package server

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// listener returns connections that are known until they are closed. Before it closes, it
// accepts the connections that wait in the system's queue: closing the socket would reset
// them, and with them requests that callers have just sent.
type listener struct {
	net.Listener
	conns *conns
	// last: only connections that already wait are accepted.
	last atomic.Bool
}

const (
	// lastWait is how long no connection must arrive for the queue to count as empty.
	lastWait = 20 * time.Millisecond
	// lastBound limits the time for accepting waiting connections while more arrive.
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
			return nil, net.ErrClosed // the queue is empty
		}
	}
}

// finish accepts the connections that wait, then closes. served receives when Accept is no
// longer called.
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
	<-served // its error says only that the listener is closed
	return err
}
