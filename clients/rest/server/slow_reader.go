package server

import (
	"net/http"
	"sync"
	"time"
)

// lateWrite is how long a caller may take to read an answer once the request's deadline
// has passed. After that the connection's writes fail, so that the handler ends.
const lateWrite = time.Second

// writeLimit ends a write that nobody reads. It sets no deadline before that moment, so it
// never lengthens one that was set outside.
type writeLimit struct {
	mu sync.Mutex
	// busy is the number of writes under way. ended: the request's context has ended.
	// over: the handler has ended. cut: a write was ended.
	busy             int
	ended, over, cut bool
	timer            *time.Timer
}

// begin and end stand around each write.
func (l *writeLimit) begin(w http.ResponseWriter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy++
	l.arm(w)
}

func (l *writeLimit) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy--
}

// expire says that the request's context has ended.
func (l *writeLimit) expire(w http.ResponseWriter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	l.arm(w)
}

// arm starts the timer, once, if there is something to bound. The caller holds the lock.
func (l *writeLimit) arm(w http.ResponseWriter) {
	if !l.ended || l.over || l.busy == 0 || l.timer != nil {
		return
	}
	l.timer = time.AfterFunc(lateWrite, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.timer = nil
		if l.busy > 0 && !l.over {
			l.cut = true
			// A writer that can't do it blocks for as long as its caller wants.
			_ = http.NewResponseController(w).SetWriteDeadline(past)
		}
	})
}

// finish says that the handler has ended. When it has returned, the connection is left
// alone.
func (l *writeLimit) finish() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	if l.timer != nil {
		l.timer.Stop()
	}
}

// wasCut reports whether a write was ended.
func (l *writeLimit) wasCut() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cut
}
