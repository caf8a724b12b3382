package license

import "time"

// forgetAfter is how long after its end a license is no longer among the holders: it can't be
// renewed any more, whatever the clock of the instance that asks.
const forgetAfter = RenewalGrace + 24*time.Hour

// Holders are the licenses of all members that count against a limit over all members, such as a
// studio's. They are folded from the events of many streams, in the order in which the store has
// stored them. The zero value is no licenses. A value never changes, so it may be shared between
// goroutines.
type Holders struct{ state State }

// Fold returns the holders after further events. Events about a license whose grant is not among the
// events change nothing. Licenses that have ended by the given time are forgotten.
func (h Holders) Fold(at time.Time, events ...Event) (Holders, error) {
	begun := map[string]bool{}
	var counted []Event
	for _, e := range events {
		if begins(e) {
			begun[e.Of()] = true
		} else if _, known := h.state.licenses.find(e.Of()); !known && !begun[e.Of()] {
			continue
		}
		counted = append(counted, e)
	}
	state, err := Fold(h.state, counted...)
	if err != nil || len(counted) == 0 {
		return h, err
	}
	kept := make(byID, 0, len(state.licenses))
	for _, p := range state.licenses {
		if l := p.license(); !l.granted() || !l.Ended() && at.Sub(l.ExpiresAt()) <= forgetAfter {
			kept = append(kept, p)
		}
	}
	return Holders{State{licenses: kept, newer: state.newer}}, nil
}

// begins reports whether the event, or one that a newer program knows, can begin a license.
func begins(e Event) bool {
	switch e.(type) {
	case Granted, Promised, Unknown:
		return true
	}
	return false
}

// Count returns how many licenses are in force, without the one named except. It is an error that
// matches a Refusal with NewerEvents if events of a newer program may have changed that.
func (h Holders) Count(at time.Time, except string) (int, error) {
	if refusal := undecided(h.state.aboutAny(anyLicense)); refusal != nil {
		return 0, refusal
	}
	n := 0
	for _, p := range h.state.licenses {
		if l := p.license(); l.ID != except && l.ActiveAt(at) {
			n++
		}
	}
	return n, nil
}

// Spans returns the studio whose limit over all members a decision on the command depends on, or
// false if it depends on the member's own licenses alone.
func Spans(s State, c Command, r Rules) (studio string, ok bool) {
	var q question
	switch c := c.(type) {
	case Request:
		q = c.ask(s, r)
	case Promise:
		q = c.Request.ask(s, r)
	case Renew: // Only a license that has expired needs a free place again.
		l, there := s.License(c.License)
		if !there || l.ActiveAt(c.At) {
			return "", false
		}
		q = r.ask(s, c.At, c.Member, c.Title, l)
	default:
		return "", false
	}
	_, ok = q.ruling.Value(StudioConcurrent)
	return q.license.Studio, ok
}

// Held returns the command with the number of the studio's other licenses that are in force.
func Held(c Command, h Holders) (Command, error) {
	var err error
	switch c := c.(type) {
	case Request:
		c.StudioHeld, err = h.Count(c.At, c.License)
		return c, err
	case Promise:
		c.StudioHeld, err = h.Count(c.At, c.License)
		return c, err
	case Renew:
		c.StudioHeld, err = h.Count(c.At, c.License)
		return c, err
	}
	return c, nil
}
