package license

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Unknown is an event that a newer program wrote, of a type or a schema version that this
// program can't interpret. It marks its license, or the whole state if it names no license. A
// new type of event that concerns several licenses must therefore have no field license.
type Unknown struct {
	Type   string `json:"type"`
	Schema int    `json:"schema"`
	// License is the license that it concerns. Empty: it may concern all of the member's licenses.
	License  string    `json:"license,omitempty"`
	Occurred time.Time `json:"occurred"`
	// Data is its stored JSON, unchanged.
	Data json.RawMessage `json:"data"`
}

// Kind returns the event's type in the store.
func (e Unknown) Kind() string { return e.Type }

// Of returns the id of the license, which may be empty.
func (e Unknown) Of() string { return e.License }

// When returns the time at which the event occurred.
func (e Unknown) When() time.Time { return e.Occurred }

// Newer returns the types of the events about all of the member's licenses that this program
// does not know, such as "license.moved@2". Events about one license are in [License.Newer].
func (s State) Newer() []string { return slices.Clone(s.newer) }

// Complete reports whether the state contains the effect of every event of its stream. Keep no
// snapshot of one that does not: a newer program would miss what this one could not interpret.
func (s State) Complete() bool {
	if len(s.newer) > 0 {
		return false
	}
	for _, p := range s.licenses {
		if len(p.newer()) > 0 {
			return false
		}
	}
	return true
}

// Known returns the state as if the unknown events did not exist. It is for display; a decision
// on it may be wrong.
func (s State) Known() State {
	if s.Complete() {
		return s
	}
	known := State{licenses: slices.Clone(s.licenses)}
	for i, p := range known.licenses {
		own := p.license()
		own.Newer = nil
		known.licenses[i] = pack(&own)
	}
	return known
}

// undecided refuses a decision that depends on unknown events, or returns nil if there are none.
// A decision that gives the member something (a grant, a renewal, a play) is made only if no
// unknown event can have changed what it reads. Reports, releases and revocations are always
// recorded: they say what happened, or take something away.
func undecided(newer []string) *Refusal {
	if len(newer) == 0 {
		return nil
	}
	return refuse(NewerEvents, "a newer version of this service recorded %s, which this one can't take into account; try again, another instance may know more",
		strings.Join(newer, ", "))
}

// about returns the unknown events that may have changed a license.
func (s State) about(l License) []string { return slices.Concat(s.newer, l.Newer) }

// aboutAny returns the unknown events that may have changed what is counted over the licenses
// that match.
func (s State) aboutAny(match func(*License) bool) []string {
	newer := slices.Clone(s.newer)
	for _, p := range s.licenses {
		if len(p.newer()) == 0 {
			continue
		}
		if l := p.license(); match(&l) {
			newer = slices.Concat(newer, l.Newer)
		}
	}
	slices.Sort(newer)
	return slices.Compact(newer)
}

func anyLicense(*License) bool { return true }

// ofTitle matches the licenses that can be for a title.
func ofTitle(title string) func(*License) bool {
	return func(l *License) bool { return l.Title == title || !l.granted() }
}

// find returns a license, or a refusal. If an unknown event may have granted it, it is not known
// whether it exists.
func (s State) find(id string) (License, *Refusal) {
	l, ok := s.License(id)
	switch {
	case ok:
		return l, nil
	case len(s.newer) > 0:
		return l, undecided(s.newer)
	}
	return l, refuse(NotFound, "the member has no license %q", id)
}

// mark notes what an unknown event concerns. A license that no known event granted is kept as a
// license of which nothing but the id is known.
func (d *draft) mark(e Unknown) {
	name := fmt.Sprintf("%s@%d", e.Type, e.Schema)
	if e.License == "" {
		d.newer = marked(d.newer, name)
		return
	}
	l, ok := d.change(e.License)
	if !ok {
		l = d.add(e.License)
	}
	l.Newer = marked(l.Newer, name)
}

func marked(names []string, name string) []string {
	if slices.Contains(names, name) {
		return names
	}
	return append(slices.Clip(names), name)
}

// granted reports whether a known event granted the license.
func (l License) granted() bool { return !l.Granted.IsZero() }
