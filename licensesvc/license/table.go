package license

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Selector says for whom and what a rule holds. A list that is empty matches everything.
type Selector struct {
	Plans, Studios, Titles, Countries, DeviceKinds []string
}

// specificity orders selectors. Each kind of selector outweighs all kinds after it together: title,
// studio, country, device kind, plan.
func (s Selector) specificity() int {
	n := 0
	for _, list := range s.lists() {
		n *= 2
		if len(list) > 0 {
			n++
		}
	}
	return n
}

// lists returns the lists, the most specific kind first.
func (s Selector) lists() [5][]string {
	return [5][]string{s.Titles, s.Studios, s.Countries, s.DeviceKinds, s.Plans}
}

// kinds are the names of the lists, for people.
var kinds = [5]string{"title ", "studio ", "country ", "device kind ", "plan "}

// String describes the selector for people.
func (s Selector) String() string {
	var parts []string
	for i, list := range s.lists() {
		if len(list) > 0 {
			parts = append(parts, kinds[i]+strings.Join(list, " or "))
		}
	}
	if len(parts) == 0 {
		return "everything"
	}
	return strings.Join(parts, ", ")
}

// meets reports whether there are subjects that both selectors match.
func (s Selector) meets(other Selector) bool {
	theirs := other.lists()
	for i, list := range s.lists() {
		if len(list) > 0 && len(theirs[i]) > 0 && !slices.ContainsFunc(list, func(v string) bool { return slices.Contains(theirs[i], v) }) {
			return false
		}
	}
	return true
}

// matches reports whether the selector matches what titles and studios do not decide.
func (s *Selector) matches(q *Subject) bool {
	return oneOf(s.Plans, q.Plan) && oneOf(s.Countries, q.Country) && oneOf(s.DeviceKinds, q.DeviceKind) && oneOf(s.Studios, q.Studio) && oneOf(s.Titles, q.Title)
}

// Setting is what a rule says about a field.
type Setting struct {
	Field Field
	Value int64
}

// Rule is a set of limits and terms with a selector.
type Rule struct {
	// Name names the rule in its version.
	Name string
	When Selector
	// From and Until bound the time during which the rule holds: from From, before Until. Zero: no
	// bound.
	From, Until time.Time
	Says        []Setting
}

// Value returns what the rule says about a field, and false if it says nothing.
func (r Rule) Value(f Field) (int64, bool) {
	for _, s := range r.Says {
		if s.Field == f {
			return s.Value, true
		}
	}
	return 0, false
}

// Mismatch returns why the rule does not hold for a subject, or "" if it does.
func (r Rule) Mismatch(s Subject) string {
	values := [5]string{s.Title, s.Studio, s.Country, s.DeviceKind, s.Plan}
	for i, list := range r.When.lists() {
		if !oneOf(list, values[i]) {
			return "holds only for " + kinds[i] + strings.Join(list, " or ")
		}
	}
	switch {
	case s.At.Before(r.From):
		return "holds only from " + r.From.Format(time.RFC3339)
	case !r.Until.IsZero() && !s.At.Before(r.Until):
		return "held only until " + r.Until.Format(time.RFC3339)
	}
	return ""
}

// overlaps reports whether the rules hold at the same time for the same subject.
func (r Rule) overlaps(other Rule) bool {
	return r.When.meets(other.When) &&
		(r.Until.IsZero() || other.From.Before(r.Until)) && (other.Until.IsZero() || r.From.Before(other.Until))
}

// Version is a version of the rules.
type Version struct {
	// Name is recorded in every event that was decided by this version.
	Name string
	// From is when the version begins to decide. The first version also decides what is earlier.
	From time.Time
	// Provisional is how long a license lasts that is granted while the event store is not
	// available. Zero: none are granted.
	Provisional time.Duration
	Rules       []Rule
}

// Conflict says that two rules of a version that are equally specific say something about the same
// field, for the same subject at the same time. First and Second are their places in the version.
type Conflict struct {
	Version       int
	First, Second int
	Field         Field
	// Same says that both rules say the same value.
	Same bool
}

// Compile makes rules of versions, which are ordered by From. Of the rules that match a subject,
// the most specific one that says something about a field answers for it. Rules with conflicts
// decide by the first of the rules; a caller should refuse them.
func Compile(versions ...Version) (Rules, []Conflict) {
	var rules Rules
	var conflicts []Conflict
	for i, v := range versions {
		t := newTable(v.Rules)
		from := int64(0)
		if !v.From.IsZero() {
			from = v.From.UnixMilli()
		}
		rules.versions = append(rules.versions, version{name: v.Name, from: from, provisional: v.Provisional, spanning: spanningOf(v.Rules), resolve: t.resolve})
		for _, c := range conflictsOf(v.Rules) {
			c.Version = i
			conflicts = append(conflicts, c)
		}
	}
	return rules, conflicts
}

// spanningOf returns the names of the rules that depend on the streams of several members.
func spanningOf(rules []Rule) (names []string) {
	for _, r := range rules {
		if _, ok := r.Value(StudioConcurrent); ok {
			names = append(names, r.Name)
		}
	}
	return names
}

// conflictsOf compares each rule with those of the same specificity.
func conflictsOf(rules []Rule) (all []Conflict) {
	for i, r := range rules {
		for j, other := range rules[:i] {
			if r.When.specificity() != other.When.specificity() || !r.overlaps(other) {
				continue
			}
			for _, s := range r.Says {
				if v, ok := other.Value(s.Field); ok {
					all = append(all, Conflict{First: j, Second: i, Field: s.Field, Same: v == s.Value})
				}
			}
		}
	}
	return all
}

// table holds the rules of a version so that those of a subject are found quickly, however many
// titles and studios have rules.
type table struct {
	rules    []Rule
	byTitle  map[string][]entry
	byStudio map[string][]entry
	others   []entry
}

// entry is a rule of a table.
type entry struct {
	rule        *Rule
	by          int32
	from, until int64 // in milliseconds since 1970; until is 0 if there is no end
}

func newTable(rules []Rule) *table {
	t := &table{rules: slices.Clone(rules), byTitle: map[string][]entry{}, byStudio: map[string][]entry{}}
	order := make([]int, len(rules))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Compare(rules[b].When.specificity(), rules[a].When.specificity())
	})
	for _, i := range order {
		r := &t.rules[i]
		e := entry{rule: r, by: int32(i + 1), from: millis(r.From), until: millis(r.Until)}
		switch {
		case len(r.When.Titles) > 0:
			for _, title := range r.When.Titles {
				t.byTitle[title] = append(t.byTitle[title], e)
			}
		case len(r.When.Studios) > 0:
			for _, studio := range r.When.Studios {
				t.byStudio[studio] = append(t.byStudio[studio], e)
			}
		default:
			t.others = append(t.others, e)
		}
	}
	return t
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// resolve answers for a subject: rules that name the title first, then those that name the studio,
// then the others, each the most specific first.
func (t *table) resolve(q *Subject, r *Ruling) {
	r.rules = t.rules
	at := q.At.UnixMilli()
	for _, list := range [3][]entry{t.byTitle[q.Title], t.byStudio[q.Studio], t.others} {
		for i := range list {
			e := &list[i]
			if at < e.from || e.until != 0 && at >= e.until || !e.rule.When.matches(q) {
				continue
			}
			for _, s := range e.rule.Says {
				r.set(s.Field, s.Value, e.by)
			}
		}
	}
}
