package accept

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// again is how long Loop waits after a failure to accept.
const again = 50 * time.Millisecond

// Listener is what *net.TCPListener is.
type Listener interface {
	AcceptTCP() (*net.TCPConn, error)
}

// Loop accepts connections and serves each on its own goroutine, until the listener is
// closed or the context ends. It calls failed for what keeps it from accepting, like a
// lack of file descriptors, and tries again; clients wait in the backlog meanwhile.
func Loop(ctx context.Context, l Listener, failed func(error), serve func(*net.TCPConn)) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		c, err := l.AcceptTCP()
		switch {
		case err == nil:
			wg.Go(func() { serve(c) })
			continue
		case ctx.Err() != nil, errors.Is(err, net.ErrClosed):
			return
		}
		failed(err)
		t := time.NewTimer(again)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return
		}
	}
}
