package resilience

import "context"

// markKey is the key of what a context carries for guards: an *attempt, or a *mark
// around what was there before.
type markKey struct{}

// mark is what WithCriticality, WithRetried and WithoutHedge add to a context.
type mark struct {
	attempt  *attempt // the innermost enclosing attempt, or nil
	retried  bool
	single   bool
	classSet bool
	class    Criticality
	shareKey *string
	shared   *sharedCall // the shared call that the context belongs to, or nil
	follows  bool        // class and retried are those of shared, and change as callers join it
}

// WithCriticality gives a class to the calls under the context, usually the class with
// which a request arrived. The lower of this class and the operation's own applies. A
// class that is not one of the constants is replaced by the nearest one.
func WithCriticality(ctx context.Context, c Criticality) context.Context {
	m := markOf(ctx)
	m.class, m.classSet = min(max(c, Sheddable), CriticalPlus), true
	return context.WithValue(ctx, markKey{}, &m)
}

// WithRetried marks the context as belonging to a request that is itself a retry or
// hedge. Calls under it are not retried or hedged, and add nothing to the budget. Do
// marks the contexts of its own second and later attempts.
func WithRetried(ctx context.Context) context.Context {
	m := markOf(ctx)
	m.retried = true
	return context.WithValue(ctx, markKey{}, &m)
}

// WithoutHedge prevents hedges of calls under the context, even if their operation has
// hedges. Clients use it for a request that can't be sent twice. Such calls may still
// be retried, as far as their errors allow it.
func WithoutHedge(ctx context.Context) context.Context {
	m := markOf(ctx)
	m.single = true
	return context.WithValue(ctx, markKey{}, &m)
}

// markOf collects what the context carries.
func markOf(ctx context.Context) mark {
	switch v := ctx.Value(markKey{}).(type) {
	case *mark:
		m := *v
		if m.follows {
			m.class, m.classSet = Criticality(m.shared.class.Load()), true
			m.retried, m.follows = !m.shared.original.Load(), false
		}
		return m
	case *attempt:
		m := markOf(v.parent)
		m.attempt = v
		m.retried = m.retried || v.number > 1 || v.hedged
		m.class, m.classSet = classOf(v.parent, v.cfg.Criticality), true
		return m
	}
	return mark{}
}

func attemptOf(ctx context.Context) *attempt {
	switch v := ctx.Value(markKey{}).(type) {
	case *attempt:
		return v
	case *mark:
		return v.attempt
	}
	return nil
}

// isRepeat reports whether the enclosing request is itself a retry or hedge.
func isRepeat(ctx context.Context) bool { return markOf(ctx).retried }

// classOf returns the class that a call of the operation has under the context.
func classOf(ctx context.Context, own Criticality) Criticality {
	if ctx.Value(markKey{}) == nil {
		return own
	}
	if m := markOf(ctx); m.classSet {
		return min(own, m.class)
	}
	return own
}

// Marks are what a context carries for the guards of the calls under it. They are a value.
type Marks struct {
	// Criticality is the class that came with the request (WithCriticality), or that of
	// the enclosing call. If there is none, it is CriticalPlus, which lowers nothing.
	Criticality Criticality
	// Retried: the request is itself a retry or a hedge (WithRetried).
	Retried bool
	// NoHedge: see WithoutHedge.
	NoHedge bool
	_       struct{}
}

// MarksOf returns what a context carries. Code that lets the answer to one call serve
// other calls needs it: a call may share the answer of another only if that other call
// is treated at least as well.
func MarksOf(ctx context.Context) Marks {
	m := markOf(ctx)
	out := Marks{Criticality: CriticalPlus, Retried: m.retried, NoHedge: m.single}
	if m.classSet {
		out.Criticality = m.class
	}
	return out
}

// Covers reports whether a call with these marks may stand in for a call with the
// others: whether it is at least as important, and may be repeated wherever the other
// may.
func (m Marks) Covers(other Marks) bool {
	return m.Criticality >= other.Criticality && (!m.Retried || other.Retried) && (!m.NoHedge || other.NoHedge)
}
