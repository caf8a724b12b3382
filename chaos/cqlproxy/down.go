package cqlproxy

import (
	"errors"
	"fmt"
	"slices"
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
		out, changed, settled := l.outcome(b)
		if changed {
			err = l.toClient.frames(out...)
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

// outcome returns the frames that replace those of a batch, if any changed, and the
// framing if the answer to STARTUP is among them.
func (l *relay) outcome(b batch) (out []frame, changed bool, settled *framing) {
	for i, f := range b.frames {
		g := f
		if f.op() == opEvent {
			g = l.event(f)
		} else if m := l.marked(f.stream()); m != nil {
			if m.request.op == opStartup {
				settled = l.framingOf(m.request, f)
			}
			g = l.answer(m, f)
		}
		if same := len(g) > 0 && &g[0] == &f[0]; !changed && !same {
			out, changed = slices.Clone(b.frames[:i]), true
		}
		if changed && g != nil {
			out = append(out, g)
		}
	}
	return out, changed, settled
}

// proceed lets requests go on after STARTUP.
func (l *relay) proceed(a framing) {
	select {
	case l.agreed <- a:
	case <-l.ctx.Done():
	}
}

// framingOf returns the framing that an answer to STARTUP determines.
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

// event rewrites the addresses of an event. It returns nil if the client must not see it.
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

// answer handles an answer as its mark says. It returns what to pass on at once: f itself
// if nothing is to be changed, or nil if nothing is to be passed on now.
func (l *relay) answer(m *mark, f frame) frame {
	if m.first == nil {
		f = l.learn(m, f)
	}
	return l.answered(m, f)
}

// learn takes from an answer what is needed to understand later requests, and rewrites the
// addresses in the answer.
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
		id := c.shortBytes()
		if !c.short {
			l.proxy.prepared.learn(id, r)
		}
	case kind == resultSetKeyspace:
		keyspace := c.string()
		if !c.short {
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
