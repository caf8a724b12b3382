package accept_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/backstay-go/backstay/chaos/internal/accept"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// script answers AcceptTCP with what it holds, one after the other.
type script []func() (*net.TCPConn, error)

func (s *script) AcceptTCP() (*net.TCPConn, error) {
	next := (*s)[0]
	if len(*s) > 1 {
		*s = (*s)[1:]
	}
	return next()
}

func conn() (*net.TCPConn, error) { return &net.TCPConn{}, nil }

func fails(err error) func() (*net.TCPConn, error) {
	return func() (*net.TCPConn, error) { return nil, err }
}

var errFull = errors.New("too many open files")

func TestLoopGoesOnAfterAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		served, reported := make(chan time.Duration, 3), 0
		began := time.Now()
		accept.Loop(t.Context(), &script{conn, fails(errFull), fails(errFull), conn, fails(net.ErrClosed)}, func(err error) {
			if reported++; !errors.Is(err, errFull) {
				t.Errorf("got %v", err)
			}
		}, func(*net.TCPConn) {
			at := time.Since(began)
			time.Sleep(time.Second) // Loop waits for it.
			served <- at
		})
		if len(served) != 2 || reported != 2 {
			t.Fatalf("%d served, %d failures reported", len(served), reported)
		}
		<-served
		if second := <-served; second != 100*time.Millisecond {
			t.Errorf("after two failures it went on after %s", second)
		}
	})
}

func TestLoopEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, end := context.WithTimeout(t.Context(), time.Second)
		defer end()
		accept.Loop(ctx, &script{fails(errFull)}, func(error) {}, func(*net.TCPConn) { t.Error("served nobody") })
	})
}
