package license

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// Evolve returns the state after the event; the given state does not change. An event that does
// not fit, such as one about a license that does not exist, is an error that names the event. It
// means that the stream is damaged, and Evolve does not guess.
func Evolve(s State, e Event) (State, error) { return Fold(s, e) }

// Fold returns the state after several events. It copies the state only once.
func Fold(s State, events ...Event) (State, error) {
	if len(events) == 0 {
		return s, nil
	}
	next := State{licenses: maps.Clone(s.licenses), newer: s.newer}
	if next.licenses == nil {
		next.licenses = map[string]License{}
	}
	for _, e := range events {
		if u, ok := e.(Unknown); ok {
			next = next.withUnknown(u)
			continue
		}
		if err := next.apply(e); err != nil {
			return s, err
		}
	}
	return next, nil
}

func (s State) apply(e Event) error {
	switch e := e.(type) {
	case Granted:
		return s.grant(e, false)
	case Promised:
		return s.grant(e.Granted, true)
	}
	l, ok := s.licenses[e.Of()]
	if !ok {
		return fmt.Errorf("license: event %s is about license %q, which no earlier event granted", e.Kind(), e.Of())
	}
	switch e := e.(type) {
	case Confirmed:
		l.Provisional, l.Expires = false, e.Expires
	case Downloaded:
		l.Downloaded = earliest(l.Downloaded, e.Occurred)
		l.Reports = appended(l.Reports, e.Report)
	case Renewed:
		l.Expires, l.Since = e.Expires, e.At
		l.Renewals = appended(l.Renewals, e.Request)
	case Played:
		l.Plays = withTime(l.Plays, e.Occurred)
		l.Reports = appended(l.Reports, e.Report)
	case Released:
		l.Released = earliest(l.Released, e.Occurred)
	case Revoked:
		l.Revoked, l.Reason = e.At, e.Reason
	default:
		return fmt.Errorf("license: event of unknown kind %s (%T)", e.Kind(), e)
	}
	s.licenses[l.ID] = l
	return nil
}

func (s State) grant(e Granted, provisional bool) error {
	there, ok := s.licenses[e.License]
	if ok && there.granted() {
		return fmt.Errorf("license: license %q is granted twice in its stream", e.License)
	}
	s.licenses[e.License] = License{
		ID: e.License, Device: e.Device, Title: e.Title, Studio: e.Studio, Plan: e.Plan, Limits: e.Limits,
		Granted: e.At, Since: e.At, Expires: e.Expires, Playback: time.Duration(e.PlaybackSeconds) * time.Second,
		Provisional: provisional, Newer: there.Newer,
	}
	return nil
}

// appended and withTime copy the slice, because the old one may belong to another state.
func appended(ids []string, id string) []string { return append(slices.Clip(ids), id) }

func withTime(times []time.Time, t time.Time) []time.Time {
	at, _ := slices.BinarySearchFunc(times, t, time.Time.Compare)
	return slices.Insert(slices.Clone(times), at, t)
}
