package tcpproxy

import (
	"sync"
	"time"
)

// line holds chunks until they are due, in order, on a goroutine of its own. One
// pipe puts; the line's own goroutine writes.
type line struct {
	pipe *pipe
	wg   sync.WaitGroup

	mu     sync.Mutex
	moved  *sync.Cond
	chunks []delayed
	bytes  int
	idle   bool
	closed bool
	free   time.Time // when bandwidth allows the next byte
}

type delayed struct {
	b   []byte
	due time.Time
}

func newLine(p *pipe) *line {
	l := &line{pipe: p, idle: true}
	l.moved = sync.NewCond(&l.mu)
	l.wg.Go(l.run)
	return l
}

// put adds a chunk; it waits while the line is full. False means that the link
// ended.
func (l *line) put(b []byte, delay time.Duration, perSecond int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.bytes >= lineBytes && !l.closed {
		l.moved.Wait()
	}
	if l.closed {
		return false
	}
	now := time.Now()
	due := now.Add(delay)
	if perSecond > 0 {
		if l.free.Before(now) {
			l.free = now
		}
		l.free = l.free.Add(time.Duration(float64(len(b)) / float64(perSecond) * float64(time.Second)))
		if l.free.After(due) {
			due = l.free
		}
	}
	l.chunks = append(l.chunks, delayed{append([]byte(nil), b...), due})
	l.bytes += len(b)
	l.idle = false
	l.moved.Broadcast()
	return true
}

// empty says that nothing is under way, so that order is kept without the line.
func (l *line) empty() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.idle
}

// drain waits until everything was written, or can't be.
func (l *line) drain() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for !l.idle && !l.closed {
		l.moved.Wait()
	}
}

// close ends the line's goroutine; what is under way is lost, as the link is over.
func (l *line) close() {
	l.shut()
	l.wg.Wait()
}

func (l *line) shut() {
	l.mu.Lock()
	l.closed = true
	l.moved.Broadcast()
	l.mu.Unlock()
}

func (l *line) run() {
	defer l.shut()
	for {
		l.mu.Lock()
		for len(l.chunks) == 0 && !l.closed {
			l.moved.Wait()
		}
		if l.closed {
			l.mu.Unlock()
			return
		}
		next := l.chunks[0]
		l.chunks = l.chunks[1:]
		l.mu.Unlock()
		if d := time.Until(next.due); d > 0 && !l.pipe.wait(d) {
			return
		}
		n, err := l.pipe.to.Write(next.b)
		l.pipe.count(n)
		if err != nil {
			l.pipe.link.abort(true)
			return
		}
		l.mu.Lock()
		l.bytes -= len(next.b)
		l.idle = len(l.chunks) == 0
		l.moved.Broadcast()
		l.mu.Unlock()
	}
}
