package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

const (
	// poll is how often the end looks whether what it waits for is there.
	poll = 2 * time.Millisecond
	// idle is how long a connection of HTTP/2 must begin nothing to be told before the rest.
	idle = 100 * time.Millisecond
)

// drain ends the server in the order that loses nothing.
func (s *Server) drain(ctx context.Context, l *listener, served <-chan error, end context.CancelCauseFunc) error {
	s.draining.Store(true)
	s.wait(s.cfg.Notice)
	s.closing.Store(true)
	for end := time.Now().Add(s.cfg.Linger); time.Now().Before(end) && !s.isClosed(); {
		s.conns.leaveIdle()
		s.wait(min(idle, time.Until(end)))
	}
	// From now on no connection is taken. Shutdown does not serve what comes on one
	// that it has not read from yet, so those that were just taken get time to be read.
	err := l.finish(served)
	s.until(silence, func() bool { return s.conns.talking(silence) || s.isClosed() })
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Limit)
	defer cancel()
	// Callers on HTTP/2 must know that they begin no more, and have their answers, before
	// Shutdown names the last stream that is answered.
	s.until(s.cfg.Limit, func() bool { return s.conns.leave() || s.isClosed() })
	go func() {
		select {
		case <-s.closed:
			cancel()
		case <-ctx.Done():
		}
	}()
	down := make(chan error, 1)
	go func() { down <- s.http.Shutdown(context.WithoutCancel(ctx)) }()
	s.conns.closeSilent()
	select {
	case e := <-down:
		// Connections that were taken over are none of Shutdown's business.
		return errors.Join(err, ignoreClosed(e), s.cut(end))
	case <-ctx.Done():
	}
	cutOff := fmt.Errorf("server: requests were cut off after %v, with %d handlers running: raise Limit, or bound what they take", s.cfg.Limit, s.running.Load())
	if s.isClosed() {
		cutOff = fmt.Errorf("server: requests were cut off by Close, with %d handlers running", s.running.Load())
	}
	end(ErrDraining)
	// Handlers that heed their context answer now. Shutdown knows when what they wrote is
	// out, which is after they have ended.
	select {
	case e := <-down:
		return errors.Join(err, cutOff, ignoreClosed(e), s.cut(end))
	case <-time.After(goodbye):
	}
	err = errors.Join(err, cutOff, s.cut(end))
	return errors.Join(err, ignoreClosed(<-down)) // its connections have gone
}

// cut ends what is still there: contexts, then connections, taken over or not. An
// error names handlers that heed neither.
func (s *Server) cut(end context.CancelCauseFunc) error {
	end(ErrDraining)
	// Handlers that heed their context answer now, and say goodbye. On HTTP/2 an answer is
	// written after its handler has ended, and a connection that is closed here while its
	// caller still says something takes the answer along.
	s.until(goodbye, func() bool { return s.running.Load() == 0 && s.conns.taken() == 0 && s.conns.haveLeft() })
	err := errors.Join(ignoreClosed(s.http.Close()), s.conns.closeTaken())
	if !s.until(goodbye, func() bool { return s.running.Load() == 0 }) {
		err = errors.Join(err, fmt.Errorf("server: %d handlers go on after their context and connection ended: let them heed the context", s.running.Load()))
	}
	return err
}

// wait waits, unless the server is closed meanwhile.
func (s *Server) wait(d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.closed:
	}
}

// until waits for a condition, no longer than d, and returns what it came to.
func (s *Server) until(d time.Duration, condition func() bool) bool {
	deadline := time.Now().Add(d)
	for !condition() {
		if time.Now().After(deadline) {
			return false
		}
		time.Sleep(poll)
	}
	return true
}

func (s *Server) isClosed() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
