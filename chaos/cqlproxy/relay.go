package cqlproxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/backstay-go/backstay/chaos"
	"github.com/backstay-go/backstay/chaos/internal/hangup"
)

// relay is one client's connection and the one to its node. One goroutine reads
// requests, another reads answers; each request or answer that waits has a goroutine.
type relay struct {
	proxy  *Proxy
	node   *node
	client *net.TCPConn
	call   chaos.Call
	began  time.Time
	ctx    context.Context // ends with the relay
	end    context.CancelFunc
	wg     sync.WaitGroup

	toClient, toNode *sink

	// Of the goroutine that reads requests.
	injecting bool         // faults may be open
	started   bool         // STARTUP was answered
	agreed    chan framing // what the answer to STARTUP settled

	marks atomic.Int32 // len(mu.marks), to pass answers without the lock

	mu struct {
		sync.Mutex
		node      *net.TCPConn
		ended     bool
		algorithm string // of compression
		keyspace  string // of USE
		marks     map[int16]*mark
	}
}

// framing is what the answer to STARTUP settled.
type framing struct{ segments, packed bool }

// mark says what to do with the answer on a stream.
type mark struct {
	request *request
	rewrite bool   // it holds nodes' addresses
	record  string // key to keep it under

	again frame // the request, to be sent once more: execute twice
	first frame // the answer to give when the second one comes

	effect   *chaos.Fault
	reported bool          // listeners know of the effect
	after    []chaos.Fault // waits before it is passed on
}

func newRelay(p *Proxy, n *node, client *net.TCPConn) *relay {
	l := &relay{proxy: p, node: n, client: client, call: p.call(n), began: time.Now(), agreed: make(chan framing, 1)}
	l.ctx, l.end = context.WithCancel(p.ctx)
	l.toClient = &sink{to: client, count: &p.stats.down}
	l.mu.marks = make(map[int16]*mark)
	return l
}

// open adds the node's side. It returns false if the relay has ended.
func (l *relay) open(up *net.TCPConn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.ended {
		_ = up.Close()
		return false
	}
	l.mu.node = up
	l.toNode = &sink{to: up, count: &l.proxy.stats.up}
	return true
}

// abort closes both sides at once: with a reset, or as if both had ended.
func (l *relay) abort(reset bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.ended {
		return
	}
	l.mu.ended = true
	l.end()
	hangup.All(reset, l.client, l.mu.node)
}

// failed passes an error on to Config.OnError.
func (l *relay) failed(err error) {
	l.proxy.cfg.OnError(fmt.Errorf("cqlproxy: %s, %s: %w", l.proxy.cfg.Dependency, l.node.name(), err))
}

// over ends the relay because one side can't be read or written.
func (l *relay) over(err error) {
	switch {
	case l.ctx.Err() != nil, errors.Is(err, net.ErrClosed):
	case errors.Is(err, io.EOF):
		l.abort(false)
	case errors.Is(err, io.ErrUnexpectedEOF):
		l.failed(errors.New("a connection ended within a frame"))
		l.abort(false)
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		l.abort(true)
	default:
		l.failed(err)
		l.abort(true)
	}
}

// refuse answers a client that broke the protocol, as a node would, and ends the relay.
// version is the protocol version of the client's last frame.
func (l *relay) refuse(broken *protocolError, version byte, inSegments bool) {
	if !broken.offers || l.started {
		l.failed(fmt.Errorf("a client broke the protocol: %w", broken))
	}
	answer := errorFrame(version, broken.stream, codeProtocolError, broken.text)
	var err error
	if v := byte(broken.version); !inSegments && (v == 1 || v == 2) {
		// The header of these versions is one byte shorter, because the stream id is one byte.
		err = l.toClient.raw(append([]byte{v | 0x80, 0, answer[3]}, answer[4:]...))
	} else {
		err = l.toClient.frames(answer)
	}
	if err != nil {
		l.over(err)
		return
	}
	l.finish()
}

// finish ends the relay so that the client still gets what was written to it. It closes the
// connection for writing, and then reads for a moment what the client still sends, because
// closing with unread bytes would reset the connection.
func (l *relay) finish() {
	if err := l.client.CloseWrite(); err == nil {
		// An error ends the wait. Nothing else follows from it.
		_ = l.client.SetReadDeadline(time.Now().Add(time.Second))
		_, _ = io.Copy(io.Discard, l.client)
	}
	l.abort(false)
}

// mark says what to do with the answer on a stream.
func (l *relay) mark(stream int16, m *mark) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.marks[stream] = m
	l.marks.Store(int32(len(l.mu.marks)))
}

// marked removes and returns the mark of a stream, or nil if there is none.
func (l *relay) marked(stream int16) *mark {
	if l.marks.Load() == 0 {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.mu.marks[stream]
	delete(l.mu.marks, stream)
	l.marks.Store(int32(len(l.mu.marks)))
	return m
}

// agreement returns the compression and the keyspace at this moment.
func (l *relay) agreement() (algorithm, keyspace string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.algorithm, l.mu.keyspace
}

// read reads a client's frame, and returns its body without compression. A body that
// can't be decompressed is read as empty.
func (l *relay) read(f frame) (*request, []byte) {
	algorithm, keyspace := l.agreement()
	body, err := plainBody(f, algorithm, l.proxy.cfg.MaxFrameBytes)
	if err != nil {
		body = nil // the node says what is wrong with it
	}
	r := readRequest(f, body, l.proxy.prepared.find)
	r.resolve(keyspace)
	return r, body
}
