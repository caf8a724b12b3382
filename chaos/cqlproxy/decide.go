package cqlproxy

import (
	"time"

	"go.opentelemetry.io/otel/propagation"

	"github.com/backstay-go/backstay/chaos"
)

// fate is what the faults of a request come to.
type fate struct {
	before, after []chaos.Fault // waits
	main          *chaos.Fault  // what else happens; nil: nothing
}

// decide asks for a request's faults and applies those that come before the node. It
// returns what request does.
func (l *link) decide(f frame, r *request, m *mark) (out frame, pause *chaos.Fault) {
	injector := l.proxy.cfg.Injector
	if r.unknown != nil {
		// Whoever prepared it did so before we saw it. The protocol's answer to that makes
		// every driver prepare it again, this time through us.
		l.reply(f, codeUnprepared, "the proxy does not know the text of this statement", appendShortBytes(nil, r.unknown))
		return nil, nil
	}
	call := r.call(l.call)
	call.Also = func(rule *chaos.Rule) bool { return l.fits(r, rule) }
	ctx := l.ctx
	if r.carried != nil {
		ctx = chaos.FromBaggage(propagation.TraceContext{}.Extract(ctx, r.carried), r.carried["baggage"])
	}
	r.ctx, r.asked = ctx, call
	sorted := l.sort(injector.Decide(ctx, call), r)
	l.keep(r, m)
	m.effect, m.after = sorted.main, sorted.after
	waits := sorted.main != nil && before(sorted.main) && lasts(sorted.main)
	if len(sorted.before) == 0 && !waits {
		return l.start(f, m)
	}
	f = f.clone()
	if main := sorted.main; main != nil && main.What.Kind == chaos.PauseReads {
		injector.Injected(ctx, call, *main)
		m.effect, pause = nil, main
	}
	l.wg.Go(func() {
		for _, w := range sorted.before {
			injector.Injected(ctx, call, w)
			if !l.wait(w, w.Delay) {
				return
			}
		}
		switch h := sorted.main; {
		case !waits:
		case h.What.Kind == chaos.Hang:
			injector.Injected(ctx, call, *h)
			if !l.hold(*h) {
				return
			}
			m.effect = nil
		case !l.wait(*h, h.Delay):
			return
		}
		if out, _ := l.start(f, m); out != nil {
			l.send(out)
		}
	})
	return nil, pause
}

// start applies what happens instead of sending a request, or when it is sent.
func (l *link) start(f frame, m *mark) (out frame, pause *chaos.Fault) {
	r, fault := m.request, m.effect
	if fault != nil && l.instead(f, m) {
		if r.op == opStartup {
			l.settled(agree{})
		}
		return nil, nil
	}
	if fault != nil {
		switch fault.What.Kind {
		case chaos.PauseReads:
			l.proxy.cfg.Injector.Injected(r.ctx, r.asked, *fault)
			m.effect, pause = nil, fault
		case chaos.ExecuteTwice:
			l.proxy.cfg.Injector.Injected(r.ctx, r.asked, *fault)
			m.effect, m.again = nil, f.clone()
		}
	}
	l.expect(f, m)
	return f, pause
}

// instead applies a fault because of which the request is not sent, or not whole; false
// if it is another one.
func (l *link) instead(f frame, m *mark) bool {
	r, fault := m.request, *m.effect
	apply := func() bool {
		l.proxy.cfg.Injector.Injected(r.ctx, r.asked, fault)
		return true
	}
	switch fault.What.Kind {
	case chaos.DropRequest, chaos.HeartbeatLoss:
		return apply()
	case chaos.CQLError, chaos.Overloaded, chaos.Unprepared:
		if !before(&fault) {
			return false
		}
		apply()
		l.later(m, newError(r, fault))
		return true
	case chaos.StaleAnswer:
		old, ok := l.proxy.stale.find(m.record)
		if !ok {
			m.effect = nil // nothing older is known: it passes, and is kept
			return false
		}
		apply()
		l.later(m, old.onStream(f.stream()))
		return true
	case chaos.Reset, chaos.Drop:
		if !before(&fault) {
			return false
		}
		apply()
		l.abort(fault.What.Kind == chaos.Reset)
		return true
	case chaos.Truncate:
		if fault.What.Direction != chaos.Upstream {
			return false
		}
		apply()
		l.cut(l.toNode, f, fault)
		return true
	case chaos.Corrupt:
		if fault.What.Direction != chaos.Upstream {
			return false
		}
		apply()
		m.effect = nil
		l.expect(f, m)
		l.damage(l.toNode, f, fault)
		return true
	}
	return false
}

// later passes a frame on to the client after the waits that come before an answer.
func (l *link) later(m *mark, f frame) {
	if len(m.after) == 0 {
		l.deliver(f)
		return
	}
	l.wg.Go(func() {
		if l.waits(m) {
			l.deliver(f)
		}
	})
}

func (l *link) deliver(f frame) {
	if err := l.toClient.frames(f); err != nil {
		l.over(err)
	}
}

// effect applies what happens to an answer. It returns what to pass on at once.
func (l *link) effect(m *mark, f frame) frame {
	if m.again != nil {
		again := m.again
		m.first, m.again = f.clone(), nil
		l.mark(f.stream(), m)
		l.send(again)
		return nil
	}
	if m.first != nil {
		f = m.first
	}
	if m.record != "" && m.effect == nil {
		l.proxy.stale.keep(m.record, f)
	}
	if m.effect == nil && len(m.after) == 0 {
		return f
	}
	if len(m.after) == 0 && !lasts(m.effect) || m.request.op == opStartup {
		return l.spoil(m, f)
	}
	f = f.clone()
	l.wg.Go(func() {
		if out := l.spoil(m, f); out != nil {
			l.deliver(out)
		}
	})
	return nil
}

// spoil waits, and does to an answer what its fault says. It returns what is to be
// passed on, or nil.
func (l *link) spoil(m *mark, f frame) frame {
	if !l.waits(m) {
		return nil
	}
	if m.effect == nil {
		return f
	}
	r, fault := m.request, *m.effect
	l.proxy.cfg.Injector.Injected(r.ctx, r.asked, fault)
	switch fault.What.Kind {
	case chaos.CQLError, chaos.Overloaded, chaos.Unprepared:
		return newError(r, fault)
	case chaos.DropReply:
		return nil
	case chaos.Hang:
		if !l.hold(fault) {
			return nil
		}
	case chaos.WrongStream:
		return f.onStream(wrongStream(f.stream(), fault))
	case chaos.Reset, chaos.Drop:
		if !lasts(&fault) || l.wait(fault, fault.Delay) {
			l.abort(fault.What.Kind == chaos.Reset)
		}
		return nil
	case chaos.Truncate:
		l.cut(l.toClient, f, fault)
		return nil
	case chaos.Corrupt:
		l.damage(l.toClient, f, fault)
		return nil
	}
	return f
}

// waits waits before an answer; false means that the link ended.
func (l *link) waits(m *mark) bool {
	for _, w := range m.after {
		l.proxy.cfg.Injector.Injected(m.request.ctx, m.request.asked, w)
		if !l.wait(w, w.Delay) {
			return false
		}
	}
	return true
}

// wait waits as long as the fault lasts, at most d; false means that the link ended.
// 0 is as long as the fault lasts.
func (l *link) wait(f chaos.Fault, d time.Duration) bool {
	if d == 0 {
		return l.hold(f)
	}
	return l.proxy.cfg.Injector.Sleep(l.ctx, f, d) == nil
}

// hold waits until the fault ends; false means that the link ended.
func (l *link) hold(f chaos.Fault) bool {
	return l.proxy.cfg.Injector.Sleep(l.ctx, f, chaos.MaxTTL) == nil
}

// cut writes the first bytes of a frame, half of it unless the fault says how many, and
// ends the link.
func (l *link) cut(to *sink, f frame, fault chaos.Fault) {
	err := to.harmed(f, func(wire []byte, _ int) []byte {
		n := len(wire) / 2
		if fault.What.Bytes > 0 {
			n = int(min(fault.What.Bytes, int64(len(wire)-1)))
		}
		return wire[:n]
	})
	if err != nil {
		l.over(err)
		return
	}
	l.abort(false)
}

// damage writes a frame with some bytes changed behind what says how long it is.
func (l *link) damage(to *sink, f frame, fault chaos.Fault) {
	err := to.harmed(f, func(wire []byte, head int) []byte {
		wire = append([]byte(nil), wire...)
		head = min(head, len(wire)-1)
		for i := range uint64(max(1, fault.What.Bytes)) {
			wire[head+fault.Pick(i, len(wire)-head)] ^= byte(1 + fault.Pick(i+1<<32, 255))
		}
		return wire
	})
	if err != nil {
		l.over(err)
	}
}

// wrongStream is another stream id than the answer's.
func wrongStream(id int16, f chaos.Fault) int16 {
	const ids = 1 << 15
	return int16((int(id) + 1 + f.Pick(0, ids-1)) % ids)
}

// lasts says that a fault that is no wait takes time itself.
func lasts(f *chaos.Fault) bool {
	return f.What.Kind == chaos.Hang || f.What.Kind == chaos.Reset && f.Delay > 0
}

// before says that a fault comes before the request is carried out.
func before(f *chaos.Fault) bool {
	if f.What.At == "" {
		return f.What.Direction != chaos.Downstream
	}
	return f.What.At != "after"
}
