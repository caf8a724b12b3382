package cqlproxy

import (
	"time"

	"go.opentelemetry.io/otel/propagation"

	"github.com/backstay-go/backstay/chaos"
)

// fate is the faults of a request, sorted by when they act.
type fate struct {
	before, after []chaos.Fault // waits
	main          *chaos.Fault  // what else happens; nil: nothing
}

// decide gets a request's faults from the injector and applies those that act before the
// node. Its results are those of the method request.
func (l *relay) decide(f frame, r *request, m *mark) (out frame, pause *chaos.Fault) {
	injector := l.proxy.cfg.Injector
	if r.unknown != nil {
		// The statement was prepared before the proxy started. This answer makes every driver
		// prepare it again, now through the proxy.
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
	decided := sorted(injector.Decide(ctx, call))
	l.keep(r, m)
	m.effect, m.after = decided.main, decided.after
	waits := decided.main != nil && before(decided.main) && lasts(decided.main) > 0
	if len(decided.before) == 0 && !waits {
		return l.start(f, m)
	}
	f = f.clone()
	if decided.main != nil && decided.main.What.Kind == chaos.PauseReads {
		// While the request waits, nothing more is read from the client.
		l.report(m)
		m.effect, pause = nil, decided.main
	}
	l.wg.Go(func() {
		for _, w := range decided.before {
			injector.Report(ctx, call, w)
			if !l.wait(w, w.Delay) {
				return
			}
		}
		if waits && !l.ended(m) {
			l.report(m)
			if !l.wait(*decided.main, lasts(decided.main)) {
				return
			}
		}
		if l.ended(m) {
			m.effect = nil
		}
		if out, _ := l.start(f, m); out != nil {
			l.send(out)
		}
	})
	return nil, pause
}

// ended reports whether the rule of a request's fault has ended.
func (l *relay) ended(m *mark) bool {
	return m.effect != nil && l.proxy.cfg.Injector.Over(*m.effect)
}

// report passes a request's fault to the listeners, once.
func (l *relay) report(m *mark) {
	if m.reported {
		return
	}
	m.reported = true
	l.proxy.cfg.Injector.Report(m.request.ctx, m.request.asked, *m.effect)
}

// start applies the effects that act instead of sending a request, or when it is sent.
func (l *relay) start(f frame, m *mark) (out frame, pause *chaos.Fault) {
	if fault := m.effect; fault != nil {
		if effectOf(fault).instead(l, f, m, *fault) {
			if m.request.op == opStartup {
				l.proceed(framing{})
			}
			return nil, nil
		}
		if m.effect != nil && effectOf(fault).sending(l, f, m) {
			m.effect, pause = nil, fault
		}
	}
	l.expect(f, m)
	return f, pause
}

// later passes a frame on to the client after the waits that come before an answer.
func (l *relay) later(m *mark, f frame) {
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

func (l *relay) deliver(f frame) {
	if err := l.toClient.frames(f); err != nil {
		l.over(err)
	}
}

// answered applies the faults that act on an answer. It returns what to pass on at once.
func (l *relay) answered(m *mark, f frame) frame {
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
	if l.ended(m) {
		m.effect = nil
	}
	if m.record != "" && m.effect == nil {
		l.proxy.stale.keep(m.record, f)
	}
	if m.effect == nil && len(m.after) == 0 {
		return f
	}
	if len(m.after) == 0 && lasts(m.effect) == 0 || m.request.op == opStartup {
		return l.late(m, f)
	}
	f = f.clone()
	l.wg.Go(func() {
		if out := l.late(m, f); out != nil {
			l.deliver(out)
		}
	})
	return nil
}

// late waits, and then applies the fault to the answer, unless the fault has ended by then.
// It returns what is to be passed on, or nil.
func (l *relay) late(m *mark, f frame) frame {
	if !l.waits(m) {
		return nil
	}
	if m.effect == nil || len(m.after) > 0 && l.ended(m) {
		return f
	}
	fault := *m.effect
	l.report(m)
	if d := lasts(&fault); d > 0 {
		if !l.wait(fault, d) {
			return nil
		}
		if l.ended(m) {
			return f
		}
	}
	return effectOf(&fault).answer(l, f, m, fault)
}

// waits waits before an answer. It returns false if the relay has ended.
func (l *relay) waits(m *mark) bool {
	for _, w := range m.after {
		l.proxy.cfg.Injector.Report(m.request.ctx, m.request.asked, w)
		if !l.wait(w, w.Delay) {
			return false
		}
	}
	return true
}

// wait waits for d, or until the fault ends if that is earlier. If d is 0, it waits until
// the fault ends. It returns false if the relay has ended.
func (l *relay) wait(f chaos.Fault, d time.Duration) bool {
	if d == 0 {
		return l.hold(f)
	}
	return l.proxy.cfg.Injector.Sleep(l.ctx, f, d) == nil
}

// hold waits until the fault ends. It returns false if the relay has ended.
func (l *relay) hold(f chaos.Fault) bool {
	return l.proxy.cfg.Injector.Sleep(l.ctx, f, chaos.MaxTTL) == nil
}

// lasts returns how long a fault waits whose kind is not a wait.
func lasts(f *chaos.Fault) time.Duration { return effectOf(f).lasts(*f) }
