package rulefile

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/backstay-go/backstay/licensesvc/license"
)

// Change is one difference between two files.
type Change struct {
	// Version and Rule name what differs. Rule is empty if it is the version itself.
	Version string `json:"version"`
	Rule    string `json:"rule,omitempty"`
	// Sentence says the difference for people.
	Sentence string `json:"sentence"`
}

// Diff returns the differences from one file to another, in the order of the versions. A version
// that only the second file has is compared with the version before it, because that is what it
// replaces.
func Diff(from, to Rules) (changes []Change) {
	for _, v := range from.Versions {
		if !has(to.Versions, v.Name) {
			changes = append(changes, Change{Version: v.Name, Sentence: fmt.Sprintf("Version %q is gone.", v.Name)})
		}
	}
	for i, v := range to.Versions {
		if has(from.Versions, v.Name) {
			changes = append(changes, diffVersions(from.version(v.Name), v)...)
			continue
		}
		if i == 0 {
			changes = append(changes, Change{Version: v.Name, Sentence: fmt.Sprintf("Version %q is new, and the first.", v.Name)})
			continue
		}
		before := to.Versions[i-1]
		changes = append(changes, Change{Version: v.Name, Sentence: fmt.Sprintf("Version %q is new: it decides from %s on instead of %q.", v.Name, v.From.Format(time.RFC3339), before.Name)})
		before.From = v.From
		changes = append(changes, diffVersions(before, v)...)
	}
	return changes
}

func has(versions []license.Version, name string) bool {
	return slices.ContainsFunc(versions, func(v license.Version) bool { return v.Name == name })
}

// diffVersions returns the differences between two versions, as changes of the second one.
func diffVersions(from, to license.Version) (changes []Change) {
	add := func(rule, format string, args ...any) {
		changes = append(changes, Change{Version: to.Name, Rule: rule, Sentence: fmt.Sprintf(format, args...)})
	}
	if !from.From.Equal(to.From) {
		add("", "Version %q begins at %s instead of %s.", to.Name, dateOf(to.From), dateOf(from.From))
	}
	if from.Provisional != to.Provisional {
		add("", "A provisional license lasts %s instead of %s.", durationOf(to.Provisional), durationOf(from.Provisional))
	}
	for _, r := range from.Rules {
		if _, ok := named(to.Rules, r.Name); !ok {
			add(r.Name, "Rule %q is gone. It held for %s%s and said: %s.", r.Name, r.When, timesOf(r), saysOf(r))
		}
	}
	for _, r := range to.Rules {
		old, ok := named(from.Rules, r.Name)
		if !ok {
			add(r.Name, "Rule %q is new. It holds for %s%s and says: %s.", r.Name, r.When, timesOf(r), saysOf(r))
			continue
		}
		for _, sentence := range diffRules(old, r) {
			add(r.Name, "%s", sentence)
		}
	}
	return changes
}

func named(rules []license.Rule, name string) (license.Rule, bool) {
	i := slices.IndexFunc(rules, func(r license.Rule) bool { return r.Name == name })
	if i < 0 {
		return license.Rule{}, false
	}
	return rules[i], true
}

// diffRules returns the differences between two rules of the same name.
func diffRules(from, to license.Rule) (sentences []string) {
	add := func(format string, args ...any) {
		sentences = append(sentences, fmt.Sprintf("Rule %q ", to.Name)+fmt.Sprintf(format, args...)+".")
	}
	if !reflect.DeepEqual(from.When, to.When) {
		add("holds for %s instead of %s", to.When, from.When)
	}
	if !from.From.Equal(to.From) {
		add("holds from %s on instead of %s", dateOf(to.From), dateOf(from.From))
	}
	if !from.Until.IsZero() || !to.Until.IsZero() {
		switch {
		case to.Until.IsZero():
			add("holds for ever instead of until %s", dateOf(from.Until))
		case from.Until.IsZero():
			add("holds until %s instead of for ever", dateOf(to.Until))
		case !from.Until.Equal(to.Until):
			add("holds until %s instead of %s", dateOf(to.Until), dateOf(from.Until))
		}
	}
	for _, f := range license.Fields() {
		before, said := from.Value(f)
		now, says := to.Value(f)
		switch {
		case said && !says:
			add("says nothing about %s any more; it said %s", f, valueOf(f, before))
		case says && !said:
			add("says %s for %s; it said nothing about that", valueOf(f, now), f)
		case before != now:
			add("says %s for %s instead of %s", valueOf(f, now), f, valueOf(f, before))
		}
	}
	return sentences
}

// dateOf returns a time as text.
func dateOf(t time.Time) string {
	if t.IsZero() {
		return "the beginning"
	}
	return t.Format(time.RFC3339)
}

// saysOf lists what a rule says.
func saysOf(r license.Rule) string {
	var parts []string
	for _, f := range license.Fields() {
		if v, ok := r.Value(f); ok {
			parts = append(parts, f.String()+" "+valueOf(f, v))
		}
	}
	return strings.Join(parts, ", ")
}
