package license

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unsafe"
)

// FoldVersion is the version of what Fold makes of events. A snapshot with another version can't
// be used. Raise it with every change of Fold, License or State.
const FoldVersion = 3

// Restore makes a state from the licenses that Licenses returned.
func Restore(licenses []License) State {
	all := make(byID, 0, len(licenses))
	for _, l := range licenses {
		own := l.clone()
		all = append(all, pack(&own))
	}
	slices.SortFunc(all, func(a, b *packed) int { return strings.Compare(a.id, b.id) })
	return State{licenses: all}
}

// Snapshot encodes a state for RestoreSnapshot. It is an error if the state is not complete: a
// newer program, which knows more events, would miss what this one could not interpret.
func (s State) Snapshot() ([]byte, error) {
	if !s.Complete() {
		return nil, errors.New("license: the state lacks the effect of events that this program does not know")
	}
	b, err := json.Marshal(s.Licenses())
	if err != nil {
		return nil, fmt.Errorf("license: snapshot: %w", err)
	}
	return b, nil
}

// RestoreSnapshot decodes a state that Snapshot has encoded, in a program with the same
// FoldVersion.
func RestoreSnapshot(data []byte) (State, error) {
	var licenses []License
	if err := json.Unmarshal(data, &licenses); err != nil {
		return State{}, fmt.Errorf("license: snapshot: %w", err)
	}
	return Restore(licenses), nil
}

// Size estimates the bytes that a state takes in memory.
func (s State) Size() int64 {
	n := 64
	for _, p := range s.licenses {
		n += int(unsafe.Sizeof(*p)) + 8 + len(p.id) + len(p.device) + 16
		m := p.more
		if m == nil {
			continue
		}
		n += int(unsafe.Sizeof(*m)) + 24*(cap(m.plays)+cap(m.renewed)) + 16*cap(m.playDays) + 16*(cap(m.renewals)+cap(m.reports)) + len(m.reason)
		for _, ids := range [][]string{m.renewals, m.reports} {
			for _, id := range ids {
				n += len(id)
			}
		}
		if m.whole != nil {
			n += int(unsafe.Sizeof(*m.whole))
		}
	}
	return int64(n)
}
