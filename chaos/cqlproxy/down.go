package cqlproxy

import (
	"errors"
	"fmt"
)

// answers passes on what the node sends, until the relay ends.
func (l *relay) answers() {
	src := newSource(l.mu.node, l.proxy.cfg.MaxFrameBytes, true)
	for {
		b, err := src.next()
		if broken := (*protocolError)(nil); errors.As(err, &broken) {
			l.failed(fmt.Errorf("the node broke the protocol: %w", broken))
			l.abort(true)
			return
		}
		if err != nil {
			l.over(err)
			return
		}
		pass, changed := b.frames[:0:0], false
		var settled *framing
		for i, f := range b.frames {
			out := f
			if f.op() == opEvent {
				out = l.event(f)
			} else if m := l.marked(f.stream()); m != nil {
				if m.request.op == opStartup {
					settled = l.framingOf(m.request, f)
				}
				out = l.answer(m, f)
			}
			if same := len(out) > 0 && &out[0] == &f[0]; !changed && !same {
				pass, changed = append(pass, b.frames[:i]...), true
			}
			if changed && out != nil {
				pass = append(pass, out)
			}
		}
		if changed {
			err = l.toClient.frames(pass...)
		} else {
			err = l.pass(l.toClient, b)
		}
		if err != nil {
			l.over(err)
			return
		}
		if settled != nil {
			l.toClient.agree(settled.segments, settled.packed)
			l.toNode.agree(settled.segments, settled.packed)
			src.segments, src.packed = settled.segments, settled.packed
			l.proceed(*settled)
		}
	}
}

// proceed lets requests go on after STARTUP.
func (l *relay) proceed(a framing) {
	select {
	case l.agreed <- a:
	case <-l.ctx.Done():
	}
}

// framingOf is what an answer to STARTUP says of the framing.
func (l *relay) framingOf(r *request, f frame) *framing {
	if f.op() != opReady && f.op() != opAuthenticate {
		return &framing{}
	}
	l.mu.Lock()
	l.mu.algorithm = r.startup["COMPRESSION"]
	defer l.mu.Unlock()
	if f.version() < 5 {
		return &framing{}
	}
	return &framing{segments: true, packed: l.mu.algorithm == algorithmLZ4}
}

// event rewrites the addresses of an event; nil if the client must not see it.
func (l *relay) event(f frame) frame {
	a, err := l.readAnswer(f)
	if err != nil {
		l.failed(fmt.Errorf("cannot read an event of the node, which is passed as it is: %w", err))
		return f
	}
	return l.proxy.addresses.event(a)
}

func (l *relay) readAnswer(f frame) (answer, error) {
	algorithm, _ := l.agreement()
	body, err := plainBody(f, algorithm, l.proxy.cfg.MaxFrameBytes)
	if err != nil {
		return answer{}, err
	}
	return readAnswer(f, body)
}

// answer does with an answer what its mark says. It returns what to pass on at once,
// which is f itself if nothing is to be changed, or nil.
func (l *relay) answer(m *mark, f frame) frame {
	if m.first == nil {
		f = l.learn(m, f)
	}
	return l.answered(m, f)
}

// learn takes from an answer what later requests mean, and rewrites addresses in it.
func (l *relay) learn(m *mark, f frame) frame {
	r := m.request
	if r.op != opPrepare && r.statement.operation != "USE" && !m.rewrite || f.op() != opResult {
		return f
	}
	a, err := l.readAnswer(f)
	if err != nil {
		l.failed(fmt.Errorf("cannot read an answer of the node, which is passed as it is: %w", err))
		return f
	}
	kind, c := a.result()
	switch {
	case kind == resultPrepared && r.prepares != nil:
		if id := c.shortBytes(); !c.short {
			l.proxy.prepared.learn(id, r)
		}
	case kind == resultSetKeyspace:
		if keyspace := c.string(); !c.short {
			l.mu.Lock()
			l.mu.keyspace = keyspace
			l.mu.Unlock()
		}
	case kind == resultRows && m.rewrite:
		out, err := l.proxy.addresses.rows(a, r.statement, l.node.pair)
		if err != nil {
			l.failed(fmt.Errorf("cannot rewrite addresses in the answer to %q, which is passed as it is: %w", r.statement.text, err))
			return f
		}
		return out
	}
	return f
}
