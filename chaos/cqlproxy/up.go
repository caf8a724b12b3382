package cqlproxy

import (
	"errors"

	"github.com/backstay-go/backstay/chaos"
)

// requests passes on what the client sends, until the relay ends.
func (l *relay) requests() {
	src := newSource(l.client, l.proxy.cfg.MaxFrameBytes, false)
	version := byte(maxVersion)
	for {
		b, err := src.next()
		if broken := (*protocolError)(nil); errors.As(err, &broken) {
			l.refuse(broken, version, src.segments)
			return
		}
		if err != nil {
			l.over(err)
			return
		}
		version = byte(b.frames[0].version())
		l.injecting = l.proxy.cfg.Injector.Running()
		if !l.batch(b) {
			return
		}
		if last := b.frames[len(b.frames)-1]; last.op() == opStartup && !src.segments {
			// Until STARTUP is answered, the framing of the client's next bytes is unknown.
			select {
			case a := <-l.agreed:
				src.segments, src.packed, l.started = a.segments, a.packed, true
			case <-l.ctx.Done():
				return
			}
		}
	}
}

// batch passes frames on. It returns false if the relay has ended.
func (l *relay) batch(b batch) bool {
	pass, changed := b.frames[:0:0], false
	var pauses []chaos.Fault
	for i, f := range b.frames {
		out, pause := f, (*chaos.Fault)(nil)
		if l.looks(f) {
			out, pause = l.request(f)
		}
		if pause != nil {
			pauses = append(pauses, *pause)
		}
		same := len(out) > 0 && &out[0] == &f[0]
		if !changed && !same {
			pass, changed = append(pass, b.frames[:i]...), true
		}
		if changed && out != nil {
			pass = append(pass, out)
		}
	}
	if changed {
		if !l.send(pass...) {
			return false
		}
	} else if err := l.pass(l.toNode, b); err != nil {
		l.over(err)
		return false
	}
	for _, p := range pauses {
		if !l.wait(p, p.What.Delay) {
			return false
		}
	}
	return true
}

// pass writes a batch as it arrived.
func (l *relay) pass(to *sink, b batch) error {
	if b.raw != nil {
		return to.raw(b.raw)
	}
	return to.frames(b.frames...)
}

// send writes to the node. It returns false if the relay has ended.
func (l *relay) send(frames ...frame) bool {
	if err := l.toNode.frames(frames...); err != nil {
		l.over(err)
		return false
	}
	return true
}

// looks reports whether a request has to be read. Otherwise it can pass as it is.
func (l *relay) looks(f frame) bool {
	switch f.op() {
	case opStartup, opQuery, opPrepare:
		return true
	case opExecute:
		return l.injecting || l.proxy.prepared.watches()
	}
	return l.injecting
}

// request handles a request. It returns the frame to send to the node at once, which is f
// itself if nothing is to be changed, or nil if nothing is to be sent. It also returns a
// fault that stops the reading, if there is one.
func (l *relay) request(f frame) (out frame, pause *chaos.Fault) {
	r, body := l.read(f)
	if r.addresses() {
		f, body = l.proxy.addresses.asked(f, r, body)
	}
	m := &mark{request: r, rewrite: r.addresses() && r.runs()}
	if m.rewrite && r.op == opExecute {
		// Without column names the addresses in the answer could not be found.
		f = withMetadata(f, r, body)
	}
	if l.injecting {
		return l.decide(f, r, m)
	}
	l.expect(f, m)
	return f, nil
}

// expect marks the stream of a request that is about to be sent, if its answer matters.
func (l *relay) expect(f frame, m *mark) {
	switch {
	case m.rewrite, m.record != "", m.effect != nil, len(m.after) > 0, m.again != nil:
	case m.request.op == opStartup, m.request.op == opPrepare, m.request.statement.operation == "USE":
	default:
		return
	}
	l.mark(f.stream(), m)
}

// withMetadata returns the EXECUTE changed so that it asks for the result's columns.
func withMetadata(f frame, r *request, body []byte) frame {
	if r.flagsAt == 0 || body[r.flagsAt]&querySkipMetadata == 0 {
		return f
	}
	out := newFrame(f[0], f.flags()&^flagCompressed, f.stream(), f.op(), body)
	out[headerBytes+r.flagsAt] &^= querySkipMetadata
	return out
}
