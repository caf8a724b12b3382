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
		all = append(all, &own)
	}
	slices.SortFunc(all, func(a, b *License) int { return strings.Compare(a.ID, b.ID) })
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
	for _, l := range s.licenses {
		n += int(unsafe.Sizeof(*l)) + 16 + len(l.ID) + len(l.Device) + len(l.Title) + len(l.Studio) + len(l.Plan) + len(l.Reason)
		n += 24*(cap(l.Plays)+cap(l.Renewed)) + len(l.Country) + len(l.DeviceKind) + 16*cap(l.PlayDays) + 16*(cap(l.Renewals)+cap(l.Reports))
		for _, ids := range [][]string{l.Renewals, l.Reports} {
			for _, id := range ids {
				n += len(id)
			}
		}
	}
	return int64(n)
}
