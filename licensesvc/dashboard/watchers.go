package dashboard

import (
	"net"
	"net/http"
	"sync"
)

// watchers bounds the open streams, in all and per caller. Nobody is locked out: beyond a bound
// a new stream takes the place of an old one of the caller that has the most. It is safe for
// concurrent use.
type watchers struct {
	mu  sync.Mutex
	all []*watcher // in the order in which they came
}

// watcher is one open stream.
type watcher struct {
	caller string
	// displaced is closed when another stream takes the place.
	displaced chan struct{}
}

// add adds a stream of a caller.
func (w *watchers) add(caller string) *watcher {
	own := &watcher{caller: caller, displaced: make(chan struct{})}
	w.mu.Lock()
	defer w.mu.Unlock()
	open := map[string]int{}
	most := caller
	for _, other := range w.all {
		open[other.caller]++
	}
	for _, other := range w.all { // Of several callers, the one with the oldest stream.
		if open[other.caller] > open[most] {
			most = other.caller
		}
	}
	switch {
	case open[caller] >= maxPerCaller:
		w.displaceLocked(caller)
	case len(w.all) >= maxWatchers:
		w.displaceLocked(most)
	}
	w.all = append(w.all, own)
	return own
}

// displaceLocked ends the oldest stream of a caller.
func (w *watchers) displaceLocked(caller string) {
	for i, other := range w.all {
		if other.caller == caller {
			close(other.displaced)
			w.removeLocked(i)
			return
		}
	}
}

// remove removes a stream that has ended.
func (w *watchers) remove(own *watcher) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, other := range w.all {
		if other == own {
			w.removeLocked(i)
			return
		}
	}
}

func (w *watchers) removeLocked(i int) {
	w.all = append(w.all[:i:i], w.all[i+1:]...)
}

// remoteHost returns the remote address of a request without its port.
func remoteHost(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
