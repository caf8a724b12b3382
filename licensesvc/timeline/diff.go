package timeline

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/backstay-go/backstay/licensesvc/license"
)

// Change is a field that differs between two states.
type Change struct {
	// License is the license, or empty if the field is one of the member.
	License string `json:"license,omitempty"`
	// Field is the field's name in JSON. Fields of limits are written as limits.devices.
	Field string `json:"field"`
	// Before and After are the values. A missing one means that the state does not have the field.
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
}

// newer is the name of the member's only field.
const newer = "newer_events"

// Diff returns the fields in which two states differ: first those of the member, then those of each
// license, sorted by license and field. It is empty only if the states have the same licenses with
// the same fields and statuses. If only is not empty, other licenses are left out.
func Diff(from, to State, only string) ([]Change, error) {
	before, err := fields(from, only)
	if err != nil {
		return nil, err
	}
	after, err := fields(to, only)
	if err != nil {
		return nil, err
	}
	changes := []Change{}
	names := maps.Clone(before)
	maps.Copy(names, after)
	for name := range names {
		if !bytes.Equal(before[name], after[name]) {
			changes = append(changes, Change{License: name.license, Field: name.field, Before: before[name], After: after[name]})
		}
	}
	slices.SortFunc(changes, func(a, b Change) int {
		if c := strings.Compare(a.License, b.License); c != 0 {
			return c
		}
		return strings.Compare(a.Field, b.Field)
	})
	return changes, nil
}

// field names a field of a state.
type field struct{ license, field string }

// fields returns every field of a state as JSON.
func fields(s State, only string) (map[field]json.RawMessage, error) {
	all := map[field]json.RawMessage{}
	if unknown := s.Member.Newer(); len(unknown) > 0 {
		raw, err := json.Marshal(unknown)
		if err != nil {
			return nil, err
		}
		all[field{"", newer}] = raw
	}
	for _, l := range s.Licenses(only) {
		raw, err := json.Marshal(l)
		if err != nil {
			return nil, err
		}
		if err := flatten(all, l.ID, "", raw); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// flatten adds the fields of a JSON object. Lists are single values.
func flatten(all map[field]json.RawMessage, id, prefix string, raw json.RawMessage) error {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(raw, &object); err != nil {
		return err
	}
	for name, value := range object {
		if bytes.HasPrefix(value, []byte("{")) {
			if err := flatten(all, id, prefix+name+".", value); err != nil {
				return err
			}
			continue
		}
		all[field{id, prefix + name}] = value
	}
	return nil
}

// String describes the change in one sentence.
func (c Change) String() string {
	whose := "the member's " + c.Field
	if c.License != "" {
		whose = fmt.Sprintf("%s of license %s", c.Field, c.License)
	}
	switch {
	case c.Before == nil:
		return fmt.Sprintf("%s is now %s", whose, c.value(c.After))
	case c.After == nil:
		return fmt.Sprintf("%s is no longer there; it was %s", whose, c.value(c.Before))
	}
	gained, lost, ok := compare(c.Before, c.After)
	if !ok {
		return fmt.Sprintf("%s changed from %s to %s", whose, c.value(c.Before), c.value(c.After))
	}
	var words []string
	if len(gained) > 0 {
		words = append(words, "gained "+strings.Join(gained, ", "))
	}
	if len(lost) > 0 {
		words = append(words, "lost "+strings.Join(lost, ", "))
	}
	return whose + " " + strings.Join(words, " and ")
}

// value returns a JSON value for people.
func (c Change) value(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	var ns int64
	if strings.HasSuffix(c.Field, "_ns") && json.Unmarshal(raw, &ns) == nil {
		return time.Duration(ns).String()
	}
	return string(raw)
}

// compare returns which elements a list of texts gained and lost, if that is all that changed.
func compare(before, after json.RawMessage) (gained, lost []string, ok bool) {
	var old, now []string
	if json.Unmarshal(before, &old) != nil || json.Unmarshal(after, &now) != nil {
		return nil, nil, false
	}
	lost = without(old, now)
	gained = without(now, old)
	return gained, lost, len(gained)+len(lost) > 0
}

// without returns the elements of a list that are not in another one, each as often as it is there
// more often.
func without(list, other []string) (rest []string) {
	other = slices.Clone(other)
	for _, text := range list {
		if i := slices.Index(other, text); i >= 0 {
			other = slices.Delete(other, i, i+1)
			continue
		}
		rest = append(rest, text)
	}
	return rest
}

// InWords returns the changes as sentences. A license that only one of the states has gets one
// sentence instead of one for each of its fields.
func InWords(changes []Change) []string {
	whole := map[string]int{} // 1: added; -1: gone
	for _, c := range changes {
		switch {
		case c.License == "" || c.Field != "license":
		case c.Before == nil:
			whole[c.License] = 1
		case c.After == nil:
			whole[c.License] = -1
		}
	}
	sentences := []string{}
	for _, c := range changes {
		way := whole[c.License]
		switch {
		case way == 0:
			sentences = append(sentences, c.String())
		case c.Field == "license":
			sentences = append(sentences, describe(changes, c.License, way))
		}
	}
	return sentences
}

// describe describes a license that only one of the states has.
func describe(changes []Change, id string, way int) string {
	get := func(name string) string {
		for _, c := range changes {
			if c.License == id && c.Field == name {
				if way > 0 {
					return c.value(c.After)
				}
				return c.value(c.Before)
			}
		}
		return ""
	}
	what := fmt.Sprintf("license %s (%s) is there", id, get("status"))
	if way < 0 {
		what = fmt.Sprintf("license %s (%s) is not there", id, get("status"))
	}
	if license.Status(get("status")) == license.StatusUnknown {
		return what + ": only events that this program does not know tell of it"
	}
	return fmt.Sprintf("%s: title %s of studio %s on device %s, plan %s, granted %s, expires %s", what, get("title"), get("studio"), get("device"), get("plan"), get("granted"), get("expires"))
}
