package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

const (
	// poll is the interval at which the shutdown checks its conditions.
	poll = 2 * time.Millisecond
	// idle is how long an HTTP/2 connection must start no stream in order to get its GOAWAY
	// before the others.
	idle = 100 * time.Millisecond
)

// drain shuts the server down in the order that loses no request.
func (s *Server) drain(ctx context.Context, l *listener, served <-chan error, end context.CancelCauseFunc) error {
	s.draining.Store(true)
	s.wait(s.cfg.Notice)
	s.closing.Store(true)
	for end := time.Now().Add(s.cfg.Linger); time.Now().Before(end) && !s.isClosed(); {
		s.conns.leaveIdle()
		s.wait(min(idle, time.Until(end)))
	}
	// From now on no connection is accepted. Shutdown does not serve requests on connections
	// that it has not read from yet, so new connections get some time to send their first.
	err := l.finish(served)
	s.until(silence, func() bool { return s.conns.talking(silence) || s.isClosed() })
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Limit)
	defer cancel()
	// Callers on HTTP/2 must know that they may start no more streams, and must have got
	// their responses, before Shutdown names the last stream.
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
		// Shutdown does not handle hijacked connections.
		return errors.Join(err, ignoreClosed(e), s.cut(end))
	case <-ctx.Done():
	}
	cutOff := fmt.Errorf("server: requests were cut off after %v, with %d handlers running: raise Limit, or bound what they take", s.cfg.Limit, s.running.Load())
	if s.isClosed() {
		cutOff = fmt.Errorf("server: requests were cut off by Close, with %d handlers running", s.running.Load())
	}
	end(ErrDraining)
	// Handlers that respect their context answer now. Shutdown returns when their responses
	// have been sent, which is after they have returned.
	select {
	case e := <-down:
		return errors.Join(err, cutOff, ignoreClosed(e), s.cut(end))
	case <-time.After(goodbye):
	}
	err = errors.Join(err, cutOff, s.cut(end))
	return errors.Join(err, ignoreClosed(<-down)) // its connections are closed
}

// cut ends what still runs: contexts first, then connections, hijacked ones included. It
// returns an error if handlers respect neither.
func (s *Server) cut(end context.CancelCauseFunc) error {
	end(ErrDraining)
	// Handlers that respect their context answer now. On HTTP/2 a response is written after
	// its handler has returned, and would be lost if its connection were closed here while
	// the caller still sends something.
	s.until(goodbye, func() bool { return s.running.Load() == 0 && s.conns.taken() == 0 && s.conns.haveLeft() })
	err := errors.Join(ignoreClosed(s.http.Close()), s.conns.closeTaken())
	if !s.until(goodbye, func() bool { return s.running.Load() == 0 }) {
		err = errors.Join(err, fmt.Errorf("server: %d handlers go on after their context and connection ended: let them heed the context", s.running.Load()))
	}
	return err
}

// wait waits for d, or until the server is closed.
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

// until waits for a condition, at most for d, and returns whether it holds.
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
